"""What would be made up for if a saga failed now, and what would stay; from its history alone."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from .._keys import in_parent
from .._ledger import Compensation, Outcome, Owed, Phase, leaves
from .._mark import Purpose
from .._verbs import SKIP
from .rebuild import Way, rebuild
from .record import Record

MAY_HAVE_HAPPENED = (Outcome.DONE, Outcome.STARTED, Outcome.UNKNOWN)


class Planned(BaseModel):
    """A compensation that would run.

    Args:
        address: Of the step that it makes up for.
        activity: The type of its activity.
        lane: Where several could run at the same time, which lane it is in: `1`, `2`, within lane 2 `2.1`.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    activity: str
    lane: str = ""


class Stays(BaseModel):
    """An effect that would not be made up for.

    Args:
        address: Of the step that has it.
        outcome: Whether it is done, or nobody knows.
        because: Who has left out its compensation, and why; the reason that a step gives stays in its code.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    outcome: Outcome
    because: str = ""


class Preview(BaseModel):
    """What would happen to what a saga has done, if it failed now.

    Args:
        id: The saga's id.
        way: `back`, or `forward` where the pivot is done or may be: nothing is made up for any more.
        compensations: What would run, the first to run first.
        stays: What would stay.
        has_completed: Whether it has ended well, so that what it did is meant to stay.
        has_turned: Whether it is compensating already.
        unknown: Children that run, or ended without a word; what they owe is not in it.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    way: Way
    compensations: tuple[Planned, ...] = ()
    stays: tuple[Stays, ...] = ()
    unknown: tuple[str, ...] = ()
    has_completed: bool = False
    has_turned: bool = False

    @property
    def sentence(self) -> str:
        """What it comes to, for people."""
        if self.has_completed:
            return "nothing would be compensated: it has completed"
        if self.way is Way.FORWARD:
            return "nothing would be compensated: the pivot is done, or may be, so it only goes forward"
        if not self.compensations:
            return "nothing is owed"
        count = len(self.compensations)
        if count == 1:
            return "1 compensation has still to run" if self.has_turned else "1 compensation would run"
        return f"{count} compensations {'have still to' if self.has_turned else 'would'} run, in this order"


def preview_of(record: Record, *, rescue: Record | None = None) -> Preview:
    """Says what would be made up for, and what would stay.

    Args:
        record: The saga, with the records of its children where they were read.
        rescue: The workflow that makes up for it after it had been cut off, where there is one.
    """
    rebuilt = rebuild(record, rescue=rescue)
    is_forward = rebuilt.way is Way.FORWARD
    plan = () if is_forward or record.has_completed else rebuilt.ledger.plan()
    planned = {compensation.address for compensation in leaves(plan)}
    return Preview(
        id=record.id,
        way=rebuilt.way,
        compensations=tuple(_planned(plan)),
        stays=tuple(stay for stay in _stays(record, rescue) if stay.address not in planned),
        unknown=() if is_forward else rebuilt.ledger.lost(),
        has_completed=record.has_completed,
        has_turned=rebuilt.ledger.phase is Phase.COMPENSATING,
    )


def _planned(plan: tuple[Owed, ...], lane: str = "") -> Iterator[Planned]:
    for part in plan:
        if isinstance(part, Compensation):
            yield Planned(address=part.address, activity=part.activity, lane=lane)
        else:
            for number, parts in enumerate(part.lanes, start=1):
                yield from _planned(parts, f"{lane}.{number}" if lane else str(number))


def _stays(record: Record, rescue: Record | None) -> Iterator[Stays]:
    """The effects, done or in doubt, that nothing has made up for; a child's as its parent sees them."""
    ledger = rebuild(record, rescue=rescue).ledger
    skipped = {
        verb.entry.about: f"skipped by {verb.entry.by}: {verb.entry.because}"
        for verb in (*record.verbs, *(rescue.verbs if rescue else ()))
        if verb.entry.verb == SKIP
    }
    settled = ledger.made_up - skipped.keys()
    for address, entry in ledger.entries.items():
        if not entry.is_child and address not in settled and entry.outcome in MAY_HAVE_HAPPENED:
            yield Stays(address=address, outcome=entry.outcome, because=skipped.get(address, ""))
    for child in record.children:
        for stay in _stays(child.record, child.rescue) if child.record else ():
            address = in_parent(child.address, stay.address)
            if address not in settled:
                yield stay.model_copy(update={"address": address})
    for effort in record.efforts:
        if effort.mark.purpose is Purpose.AFTERWARDS and effort.verdict.outcome is Outcome.DONE:
            yield Stays(address=effort.address, outcome=Outcome.DONE)
