"""Names of participants and event types, and the derived names of exchanges and queues."""

from sagas import Operation

LONGEST_NAME = 100
NAME_RULE = f"words in lower case joined by dashes, at most {LONGEST_NAME} characters"


def is_name(text: str) -> bool:
    """Whether a text is a valid name of a participant or an event type, and no pattern of a broker."""
    return len(text) <= LONGEST_NAME and Operation.is_name(text)


def exchange_name(source: str) -> str:
    """The exchange of the events of a participant."""
    return f"{source}.events"


def queue_name(participant: str) -> str:
    """The queue of a participant; a single queue keeps the events of all sources in order."""
    return f"{participant}.in"


def queue_owner(queue: str) -> str:
    """The participant of a queue."""
    return queue.removesuffix(".in")
