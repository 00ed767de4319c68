"""A comparison for people: a table in the terminal and an HTML page."""
