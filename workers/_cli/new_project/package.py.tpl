"""Sagas of $project."""
