"""Which model, which key, how much, how well."""
