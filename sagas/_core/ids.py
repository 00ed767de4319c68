"""Addresses of steps, ids of activities and children, and idempotency keys: made here and nowhere else.

A step's *address* says where it is, seen from a workflow: `reserve-stock`, the second time
`reserve-stock#2`, and in a child `payment:capture-payment`. The activity that carries it out has the
address as its id, so the key can be told from what Temporal says of any attempt.
"""

import re

from .._errors import StartError

COMPENSATE = "compensate."
"""Begins the activity id of a compensation; a step's name has no dot."""
PROBE = "probe."
"""Begins the activity id of a question about what became of an action."""
RESCUE = "~rescue"
"""Ends the id of the workflow that rescues a saga, a further one with a number; a saga's id has no tilde."""

_SAGA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_OF_RESCUE = re.compile(rf"{RESCUE}(-[0-9]+)?$")


def idempotency_key(workflow_id: str, activity_id: str) -> str:
    """The key that is the same on every attempt of a step, and the same for its compensation.

    >>> idempotency_key("order-7", "reserve-stock")
    'order-7:reserve-stock'
    >>> idempotency_key("order-7", "compensate.reserve-stock")
    'order-7:reserve-stock'
    >>> idempotency_key("order-7/payment", "capture-payment")
    'order-7/payment:capture-payment'
    >>> idempotency_key("order-7", "compensate.payment:capture-payment")
    'order-7/payment:capture-payment'
    >>> idempotency_key("order-7~rescue", "compensate.payment:capture-payment")
    'order-7/payment:capture-payment'
    """
    saga = rescued_by(workflow_id)
    path, _, step = address_of(activity_id).rpartition(":")
    return f"{saga}/{path}:{step}" if path else f"{saga}:{step}"


def address_of(activity_id: str) -> str:
    """The address of the step that an activity is about: as its action, its compensation or its probe.

    >>> address_of("compensate.payment:capture-payment#2")
    'payment:capture-payment#2'
    """
    return activity_id.removeprefix(COMPENSATE).removeprefix(PROBE)


def rescue_id(saga_id: str, number: int) -> str:
    """The workflow id of the first, second, third rescue of a saga.

    >>> rescue_id("order-7", 1), rescue_id("order-7", 2)
    ('order-7~rescue', 'order-7~rescue-2')
    """
    return f"{saga_id}{RESCUE}" if number == 1 else f"{saga_id}{RESCUE}-{number}"


def rescued_by(workflow_id: str) -> str:
    """The id of the saga that a workflow rescues; of any other workflow, its own.

    >>> rescued_by("order-7~rescue-2"), rescued_by("order-7")
    ('order-7', 'order-7')
    """
    return _OF_RESCUE.sub("", workflow_id)


def child_id(workflow_id: str, child: str) -> str:
    """The workflow id of a child saga."""
    return f"{workflow_id}/{child}"


def in_parent(child: str, address: str) -> str:
    """The address of a child's step, seen from the parent.

    >>> in_parent("payment", "capture-payment")
    'payment:capture-payment'
    >>> in_parent("payment", "fees:charge#2")
    'payment/fees:charge#2'
    """
    path, _, step = address.rpartition(":")
    return f"{child}/{path}:{step}" if path else f"{child}:{step}"


def quoted(workflow_id: str) -> str:
    """An id as Temporal's visibility reads it; a workflow that is no saga may have any."""
    return "'" + workflow_id.replace("\\", "\\\\").replace("'", "\\'") + "'"


def check_saga_id(saga_id: str) -> None:
    """Refuses an id that would not survive a log line, a URL, or the `/` between parent and child.

    Raises:
        StartError: The id is empty, longer than 200 characters, or has other characters than letters,
            digits, `_`, `.` and `-`.
    """
    if not _SAGA_ID.fullmatch(saga_id):
        raise StartError(
            f"a saga's id is 1 to 200 letters, digits, '_', '.' or '-', and begins with a letter or digit; "
            f"got {saga_id[:80]!r}"
        )
