"""Runs planned orders in each style and measures what each style costs."""
