"""One event stream, three ways to show it: `live` (a terminal), `plain` (a line for each change), `json_lines` (for programs)."""
