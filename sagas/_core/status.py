"""The status of a saga, as operators see it."""

from enum import StrEnum


class Status(StrEnum):
    """Where a saga stands; see the table in the README."""

    RUNNING = "running"
    HELD = "held"
    COMPENSATING = "compensating"
    STUCK = "stuck"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    SETTLED = "settled"


ENDED = frozenset({Status.COMPLETED, Status.COMPENSATED, Status.SETTLED})


def has_ended(said: str, *, is_child: bool) -> bool:
    """Whether a saga that says so has ended for good, whatever became of its workflow afterwards.

    A child that has completed owes until its root closes.
    """
    return said in ENDED and not (is_child and said == Status.COMPLETED)
