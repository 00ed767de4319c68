"""What would be made up for if a saga failed now, and what would stay; from its history alone."""

from collections.abc import Iterator, Set

from pydantic import BaseModel, ConfigDict

from .._core.compensation import PendingCompensation, PlanItem, flatten, select
from .._core.ids import in_parent
from .._core.ledger import Ledger
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._wire.operator_requests import SKIP
from .closure import CloseStatus
from .ledger_rebuild import RecoveryDirection, rebuild_saga
from .resets import with_bases
from .saga_record import SagaRecord, closure_of_child

MAY_HAVE_HAPPENED = (Outcome.DONE, Outcome.STARTED, Outcome.UNKNOWN)


class PlannedCompensation(BaseModel):
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


class RemainingEffect(BaseModel):
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
        root: For a child that has completed, whose preview says what would be made up for: its parent does.
        unknown: Children that ended without a word, or of which no history was read; what they owe is not
            in it. What one that is open would make up for itself is.
        left: What was done before a reset, and not since. The saga does not know of it: only a rescue makes
            up for it, when the saga has ended.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    way: RecoveryDirection
    compensations: tuple[PlannedCompensation, ...] = ()
    stays: tuple[RemainingEffect, ...] = ()
    unknown: tuple[str, ...] = ()
    left: tuple[PlannedCompensation, ...] = ()
    has_completed: bool = False
    has_turned: bool = False
    root: str = ""

    @property
    def sentence(self) -> str:
        """What it comes to, for people."""
        count = len(self.left)
        effects = f"{count} effect{'' if count == 1 else 's'}"
        left = f"; for {effects} from before a reset, only a rescue makes up" if self.left else ""
        return self._of_itself() + left

    def _of_itself(self) -> str:
        """What it would do itself, or has still to do."""
        if self.has_completed:
            return "nothing would be compensated: it has completed"
        if self.root:
            return f"what it did is its parent's to make up for: ask for the preview of {self.root!r}"
        if self.way is RecoveryDirection.FORWARD:
            return "nothing would be compensated: the pivot is done, or may be, so it only goes forward"
        if not self.compensations:
            return "nothing is owed"
        count = len(self.compensations)
        if count == 1:
            return "1 compensation has still to run" if self.has_turned else "1 compensation would run"
        return f"{count} compensations {'have still to' if self.has_turned else 'would'} run, in this order"


def build_preview(record: SagaRecord) -> Preview:
    """Says what would be made up for, and what would stay; children count where their records were read."""
    rebuilt = rebuild_saga(record)
    is_forward = rebuilt.way is RecoveryDirection.FORWARD
    plan = () if is_forward or record.has_completed else rebuilt.plan()
    turning = {} if is_forward else _open_children(record)
    own = tuple(_of_children(turning))
    left = {each.address for each in flatten(rebuilt.left)}
    planned = {each.address for each in own} | {each.address for each in flatten(plan)} | left
    if (
        record.close is not None
        and record.close.how in (CloseStatus.TERMINATED, CloseStatus.TIMED_OUT)
        and not is_forward
    ):
        # All of it is for a rescue.
        left = set[str]()
    would_run = () if record.is_handed_over else select(plan, lambda address: address not in left)
    return Preview(
        id=record.id,
        way=rebuilt.way,
        compensations=(*own, *_planned(would_run)),
        stays=tuple(_stays(record, planned)),
        unknown=() if is_forward else tuple(_unknown(rebuilt.ledger, turning)),
        left=tuple(_planned(rebuilt.left)) if left else (),
        has_completed=record.has_completed,
        has_turned=rebuilt.lifecycle.has_compensated,
        root=record.root if record.is_handed_over and not is_forward else "",
    )


def _open_children(record: SagaRecord) -> dict[str, Preview]:
    """The children that make up for their own steps before their parent does, by their addresses."""
    return {
        child.address: build_preview(child.record)
        for child in record.children
        if child.record is not None and closure_of_child(child) is None
    }


def _of_children(previews: dict[str, Preview]) -> Iterator[PlannedCompensation]:
    """What open children would make up for; several do so at the same time."""
    for number, (child, preview) in enumerate(previews.items(), start=1):
        for each in preview.compensations:
            lanes = filter(None, (str(number) if len(previews) > 1 else "", each.lane))
            address = in_parent(child, each.address)
            yield PlannedCompensation(address=address, activity=each.activity, lane=".".join(lanes))


def _unknown(ledger: Ledger, previews: dict[str, Preview]) -> Iterator[str]:
    for address in ledger.unresolved_children():
        if address not in previews:
            yield address
        else:
            yield from (f"{address}/{each}" for each in previews[address].unknown)


def _planned(plan: tuple[PlanItem, ...], lane: str = "") -> Iterator[PlannedCompensation]:
    for part in plan:
        if isinstance(part, PendingCompensation):
            yield PlannedCompensation(address=part.address, activity=part.activity, lane=lane)
        else:
            for number, parts in enumerate(part.lanes, start=1):
                yield from _planned(parts, f"{lane}.{number}" if lane else str(number))


def _stays(record: SagaRecord, planned: Set[str] = frozenset()) -> Iterator[RemainingEffect]:
    """The effects, done or in doubt, that nothing makes up for; a child's as its parent sees them."""
    ledger, record = rebuild_saga(record).ledger, with_bases(record)
    skipped = {
        verb.entry.about: f"skipped by {verb.entry.by}: {verb.entry.because}"
        for each in (record, *record.own_rescues)
        for verb in each.verbs
        if verb.entry.verb == SKIP
    }
    settled = (ledger.compensated - skipped.keys()) | planned
    for address, entry in ledger.entries.items():
        if not entry.is_child and address not in settled and entry.outcome in MAY_HAVE_HAPPENED:
            yield RemainingEffect(address=address, outcome=entry.outcome, because=skipped.get(address, ""))
    for child in record.children:
        for stay in _stays(child.record) if child.record else ():
            address = in_parent(child.address, stay.address)
            if address not in settled:
                yield stay.model_copy(update={"address": address})
    for effort in record.efforts:
        if effort.mark.purpose is Purpose.AFTERWARDS and effort.verdict.outcome is Outcome.DONE:
            yield RemainingEffect(address=effort.address, outcome=Outcome.DONE)
