"""The outcome of one activity, with the result or the reason of the failure."""

from dataclasses import dataclass

from .outcome import Outcome


@dataclass(frozen=True, slots=True)
class ActivityOutcome:
    """The outcome of an activity, with the result or the reason of the failure."""

    outcome: Outcome
    value: object = None
    code: str = ""
    reason: str = ""
    field: str | None = None
    is_final: bool = False
    """Whether a retry would have the same outcome, so that a person must resolve the step."""
