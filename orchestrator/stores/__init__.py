"""One file for each journal backend."""
