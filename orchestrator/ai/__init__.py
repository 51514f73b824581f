"""AI loops: one conversation with one model, by its own config."""
