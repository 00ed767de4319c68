"""Summaries of timers that readers of a history match."""

DEADLINE = "the saga's deadline"
"""The summary of its timer, by which its history says what that is for."""


NEXT_ATTEMPT = "until the next attempt"
