"""whisper-flow: AI agents and ordinary commands together, as durable workflows declared in YAML."""
