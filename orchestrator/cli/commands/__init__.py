"""One file for each command, imported when it is called; its attribute `command` is what `catalogue` names."""
