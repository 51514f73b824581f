"""The machine below us: processes under the reaper, HTTP with its address rules, project and state folders."""
