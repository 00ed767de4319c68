"""The inputs of a saga in a test, as data: cancels, events and approvals, each at a moment."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from .step_keys import ScriptKey, StepKey, key_of

NO_DELAY = timedelta(0)


@dataclass(frozen=True, slots=True)
class DuringCall:
    """The moment of a step's first call; made by `before` and `after`.

    Args:
        key: The call.
        has_effect: Whether the participant has executed the call; the answer is not sent in either case.
    """

    key: StepKey
    has_effect: bool

    def __str__(self) -> str:
        return f"{'after' if self.has_effect else 'before'} {self.key}"


@dataclass(frozen=True, slots=True)
class WhileWaiting:
    """The moment in which the root saga waits for an event or an approval; made by `waiting_for`.

    Args:
        name: The name of the event or of the approval.
        delay: The time from the beginning of the wait, on the clock of the saga.
    """

    name: str
    delay: timedelta = NO_DELAY

    def __str__(self) -> str:
        return f"while waiting for {self.name!r}"


Moment: TypeAlias = DuringCall | WhileWaiting


def before(step: ScriptKey) -> DuringCall:
    """The moment in which a participant has received a call and not executed the call."""
    return DuringCall(key_of(step), has_effect=False)


def after(step: ScriptKey) -> DuringCall:
    """The moment in which a participant has executed a call and not answered."""
    return DuringCall(key_of(step), has_effect=True)


def waiting_for(name: str, *, delay: timedelta = NO_DELAY) -> WhileWaiting:
    """The moment in which the saga waits for an event or an approval.

    Args:
        name: The name of the event or of the approval.
        delay: The time from the beginning of the wait, on the clock of the saga; skipped, not waited.
    """
    return WhileWaiting(name, delay)


@dataclass(frozen=True, slots=True)
class Cancel:
    """A cancel of the root saga."""

    moment: Moment

    def __str__(self) -> str:
        return f"the cancel {self.moment}"


@dataclass(frozen=True, slots=True)
class Event:
    """An event for the root saga."""

    moment: Moment
    name: str
    data: object

    def __str__(self) -> str:
        return f"the event {self.name!r} {self.moment}"


@dataclass(frozen=True, slots=True)
class Approval:
    """A decision about an approval of the root saga."""

    moment: Moment
    name: str
    role: str
    by: str
    is_approved: bool

    def __str__(self) -> str:
        return f"the decision about {self.name!r} {self.moment}"


Input: TypeAlias = Cancel | Event | Approval


def cancels(moment: Moment) -> Input:
    """Cancels the saga; a call during which the cancel is sent goes on once the server has the cancel."""
    return Cancel(moment)


def sends(event: str, data: object = None, *, moment: Moment | None = None) -> Input:
    """Sends an event, as a signal.

    Args:
        event: The name of the event.
        data: The data of the event.
        moment: The moment; by default when the saga waits for the event.
    """
    return Event(moment or WhileWaiting(event), event, data)


def approves(name: str, *, role: str, by: str = "tester", delay: timedelta = NO_DELAY) -> Input:
    """Decides an approval in favour, when the saga waits for the approval.

    Args:
        name: The name of the approval.
        role: The role of the person.
        by: The person.
        delay: The time from the beginning of the wait, on the clock of the saga.
    """
    return Approval(WhileWaiting(name, delay), name, role, by, is_approved=True)


def disapproves(name: str, *, role: str, by: str = "tester", delay: timedelta = NO_DELAY) -> Input:
    """Decides an approval against the saga; see `approves`."""
    return Approval(WhileWaiting(name, delay), name, role, by, is_approved=False)
