"""One file for each built-in tool."""
