"""Summaries of timers, for readers of a history."""

DEADLINE = "the saga's deadline"
"""The summary of the timer of a saga's deadline: marks the purpose of the timer in the history."""


NEXT_ATTEMPT = "until the next attempt"
