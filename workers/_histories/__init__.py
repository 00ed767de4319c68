"""Recorded workflow histories."""
