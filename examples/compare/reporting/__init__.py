"""Presents a comparison: as a table in the terminal, and as an HTML page."""
