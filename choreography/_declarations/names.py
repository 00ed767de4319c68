"""Names of participants and event types, and the broker's names that follow from them."""

import re

LONGEST_NAME = 100
NAME_RULE = f"words in lower case joined by dashes, at most {LONGEST_NAME} characters"

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def is_name(text: str) -> bool:
    """Whether a participant or an event type may have this name, which must not be a pattern of a broker."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def exchange_name(source: str) -> str:
    """The exchange to which only the participant `source` publishes."""
    return f"{source}.events"


def queue_name(participant: str) -> str:
    """The queue from which only this participant consumes: one queue, so that events stay in order."""
    return f"{participant}.in"


def queue_owner(queue: str) -> str:
    """The participant that consumes from a queue."""
    return queue.removesuffix(".in")
