"""Finds plug-ins: one file each in their folder, discovered, never listed."""
