"""One file for each wake condition."""
