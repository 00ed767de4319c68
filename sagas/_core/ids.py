"""Addresses of steps, ids of activities and children, and idempotency keys; this module is the only source.

The *address* of a step is the position of the step in a workflow: `reserve-stock`, the second time
`reserve-stock#2`, and in a child `payment:capture-payment`. A step with a step key, one of many
executions, has the address `reserve-seat[7a]`, the second time `reserve-seat[7a]#2`. The address is also the
id of the activity, so the idempotency key can be derived from Temporal's data about any attempt.
"""

import re

from .._errors import StartError

COMPENSATE = "compensate."
"""The prefix of the activity id of a compensation; names of steps have no dot."""
CONFIRM = "confirm."
"""The prefix of the activity id of a confirmation, and of the name of a confirmation for operators."""
PROBE = "probe."
"""The prefix of the activity id of a probe."""
RESCUE = "~rescue"
"""The suffix of a rescue's workflow id, with a number from the second rescue on; saga ids have no tilde."""

_SAGA_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_KEY = re.compile(r"\[([^]]+)\](#[0-9]+)?$")
_OF_RESCUE = re.compile(rf"{RESCUE}(-[0-9]+)?$")


def idempotency_key(workflow_id: str, activity_id: str) -> str:
    """Returns the key shared by all attempts of a step, of the compensation and of the confirmation.

    >>> idempotency_key("order-7", "reserve-stock")
    'order-7:reserve-stock'
    >>> idempotency_key("order-7", "compensate.reserve-stock")
    'order-7:reserve-stock'
    >>> idempotency_key("order-7/payment", "capture-payment")
    'order-7/payment:capture-payment'
    >>> idempotency_key("order-7", "compensate.payment:capture-payment")
    'order-7/payment:capture-payment'
    >>> idempotency_key("order-7", "confirm.reserve-stock")
    'order-7:reserve-stock'
    >>> idempotency_key("order-7~rescue", "compensate.payment:capture-payment")
    'order-7/payment:capture-payment'
    """
    saga = rescued_by(workflow_id)
    path, _, step = address_of(activity_id).rpartition(":")
    return f"{saga}/{path}:{step}" if path else f"{saga}:{step}"


def address_of(activity_id: str) -> str:
    """Returns the address of an activity's step, for all activities of the step.

    The activity is the action, the compensation, the confirmation or the probe.

    >>> address_of("compensate.payment:capture-payment#2")
    'payment:capture-payment#2'
    >>> address_of("confirm.reserve-stock")
    'reserve-stock'
    """
    return activity_id.removeprefix(COMPENSATE).removeprefix(CONFIRM).removeprefix(PROBE)


def keyed(name: str, key: str | None) -> str:
    """Returns the name of a step in addresses: with the step key in brackets, where the step has a key.

    >>> keyed("reserve-seat", "7a"), keyed("reserve-seat", None)
    ('reserve-seat[7a]', 'reserve-seat')
    """
    return name if key is None else f"{name}[{key}]"


def key_of(address: str) -> str:
    """Returns the step key in an address; empty for a step without a key.

    >>> key_of("flight:reserve-seat[7a]#2"), key_of("reserve-stock#2")
    ('7a', '')
    """
    found = _KEY.search(address)
    return found[1] if found else ""


def rescue_id(saga_id: str, number: int) -> str:
    """The workflow id of the first, second, third rescue of a saga.

    >>> rescue_id("order-7", 1), rescue_id("order-7", 2)
    ('order-7~rescue', 'order-7~rescue-2')
    """
    return f"{saga_id}{RESCUE}" if number == 1 else f"{saga_id}{RESCUE}-{number}"


def rescued_by(workflow_id: str) -> str:
    """Returns the id of the saga that a rescue workflow rescues; other ids are returned unchanged.

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
    """Quotes an id for a visibility query of Temporal; workflows other than sagas may have any id."""
    return "'" + workflow_id.replace("\\", "\\\\").replace("'", "\\'") + "'"


def check_saga_id(saga_id: str) -> None:
    """Refuses an id that is unsafe in a log line, in a URL, or before the `/` between parent and child.

    Raises:
        StartError: The id is empty, longer than 200 characters, or has other characters than letters, digits,
            `_`, `.` and `-`.
    """
    if not _SAGA_ID.fullmatch(saga_id):
        raise StartError(
            f"a saga's id is 1 to 200 letters, digits, '_', '.' or '-', and begins with a letter or digit; "
            f"got {saga_id[:80]!r}"
        )
