"""Stored histories, in a folder for each version of the SDK, and the programs that record the histories."""
