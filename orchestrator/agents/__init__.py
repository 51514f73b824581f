"""Agents that live: sessions, sleep and wake, mail."""
