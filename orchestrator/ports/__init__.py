"""Ports: what the house needs from the world, as small Protocols that plug-ins and tests implement."""
