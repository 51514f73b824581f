"""The shell around the core: actor loop, performer, recovery, streams."""
