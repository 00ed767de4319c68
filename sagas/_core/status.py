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


FAILING_CODE = "failing-code"
"""Stands for the status of an open saga whose workflow task fails: nothing moves until the code is mended.

A saga with failing code cannot publish a status; operators read the failure from the server.
"""

ENDED = frozenset({Status.COMPLETED, Status.COMPENSATED, Status.SETTLED})


def has_ended(status: str, *, is_child: bool) -> bool:
    """Whether a saga with this status has ended for good, whatever happens to the workflow afterwards.

    A completed child has pending compensations until the root closes.
    """
    return status in ENDED and not (is_child and status == Status.COMPLETED)
