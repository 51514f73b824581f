"""From a YAML file to a Plan: loader, positions, models, rules, compile."""
