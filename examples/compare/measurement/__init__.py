"""Runs planned orders in each style, and measures durations and resources."""
