"""Traces and metrics of a process."""
