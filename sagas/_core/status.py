"""The status of a saga for operators."""

from enum import StrEnum


class Status(StrEnum):
    """The status of a saga; see the table in the README."""

    RUNNING = "running"
    HELD = "held"
    COMPENSATING = "compensating"
    STUCK = "stuck"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    SETTLED = "settled"


ENDED = frozenset({Status.COMPLETED, Status.COMPENSATED, Status.SETTLED})


def has_ended(status: str, *, is_child: bool) -> bool:
    """Whether a saga with this status has ended for good, whatever happens to the workflow afterwards.

    A completed child has pending compensations until the root closes.
    """
    return status in ENDED and not (is_child and status == Status.COMPLETED)
