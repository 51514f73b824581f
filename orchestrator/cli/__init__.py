"""One file for each command; renderers over one event stream."""
