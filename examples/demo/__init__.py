"""Scenarios as data, and a player that runs them and prints what happens."""
