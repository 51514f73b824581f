"""Hooks into engine and AI loops: the manager, the catalogue of events and controls, built-in delegates."""
