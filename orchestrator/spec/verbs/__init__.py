"""One file for each task verb: what it says in YAML, as a pydantic model."""
