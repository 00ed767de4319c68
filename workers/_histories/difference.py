"""The difference between a recorded history and the current code, as a sentence."""

import re

from temporalio.client import WorkflowHistory
from temporalio.workflow import NondeterminismError

from .event_text import describe_event, names_in

# The texts of Temporal's core, which offers no structured error.
MESSAGE = re.compile(r'message: "((?:[^"\\]|\\.)*)"')
NAMED_EVENT = re.compile(r"of scheduled event '(?P<event>.+?)'|for change (?P<patch>.+?),")
NUMBERED_EVENT = re.compile(r"(.+) machine does not handle this event: HistoryEvent\(id: (\d+), \w+\)")


def describe_difference(failure: Exception, history: WorkflowHistory) -> str:
    """Describes a failed replay: the event that the current code does not reproduce, and the difference."""
    text = _message_of(failure)
    if not isinstance(failure, NondeterminismError):
        return f"the current code fails: {text}"
    if named := NAMED_EVENT.search(text):
        name = named["event"] or named["patch"]
        events = [event for event in history.events if name in names_in(event)]
        return f"{describe_event(events[0])}: {text}" if events else text
    if numbered := NUMBERED_EVENT.fullmatch(text):
        event = history.events[int(numbered[2]) - 1]
        return f"{describe_event(event)}: the current code issues another command ({numbered[1].lower()})"
    return text


def _message_of(failure: Exception) -> str:
    found = MESSAGE.search(str(failure))
    text = found[1].replace('\\"', '"').partition("\\n")[0] if found else str(failure).partition("\n")[0]
    return text.removeprefix("[TMPRL1100] ").removeprefix("Nondeterminism error: ")
