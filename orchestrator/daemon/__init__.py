"""Schedules, watched folders, the control socket."""
