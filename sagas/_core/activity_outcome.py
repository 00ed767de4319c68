"""The outcome of one activity, with its result or the reason of its failure."""

from dataclasses import dataclass

from .outcome import Outcome


@dataclass(frozen=True, slots=True)
class ActivityOutcome:
    """How an attempt ended, with its result or the reason."""

    outcome: Outcome
    value: object = None
    code: str = ""
    reason: str = ""
    field: str | None = None
    is_final: bool = False
    """Another try would be answered the same; a person has to look at it."""
