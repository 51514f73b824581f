"""One file for each task verb: what it does."""
