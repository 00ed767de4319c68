"""Starts sagas from a client, and reads the outcome of a saga."""
