"""Names of participants and event types, and the derived names of exchanges and queues."""

import re

LONGEST_NAME = 100
NAME_RULE = f"words in lower case joined by dashes, at most {LONGEST_NAME} characters"

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def is_name(text: str) -> bool:
    """Whether a text is a valid name of a participant or an event type, and no pattern of a broker."""
    return len(text) <= LONGEST_NAME and _NAME.fullmatch(text) is not None


def exchange_name(source: str) -> str:
    """The exchange of the events of a participant."""
    return f"{source}.events"


def queue_name(participant: str) -> str:
    """The queue of a participant; a single queue keeps the events of all sources in order."""
    return f"{participant}.in"


def queue_owner(queue: str) -> str:
    """The participant of a queue."""
    return queue.removesuffix(".in")
