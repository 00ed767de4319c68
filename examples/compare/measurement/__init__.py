"""Runs planned orders in each style, and measures their durations and the resources they use."""
