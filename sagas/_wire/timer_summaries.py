"""Summaries of timers, for readers of a history."""

import re

DEADLINE = "the saga's deadline"
"""The summary of the timer of a saga's deadline: marks the purpose of the timer in the history."""

NEXT_ATTEMPT = "until the next attempt"

LARGEST_SUMMARY = 300
"""Bytes. A Temporal server fails every workflow task with a summary above 400 bytes."""

_APPROVAL = re.compile(r"until (.+?) is approved(?: by (.+))?", re.DOTALL)


def until_approved(name: str, role: str) -> str:
    """The summary of the timer of an approval, without a role that is too long."""
    with_role = f"until {name} is approved by {role}"
    return with_role if len(with_role.encode()) <= LARGEST_SUMMARY else f"until {name} is approved"


def approval_in(summary: str) -> tuple[str, str] | None:
    """The name and the role of the approval of a timer; None for another timer.

    Earlier versions wrote no role: the role is empty then.
    """
    found = _APPROVAL.fullmatch(summary)
    return (found[1], found[2] or "") if found else None
