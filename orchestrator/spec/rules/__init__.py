"""One file for each validation rule, found by its code."""
