"""What resets have left behind, and rescues have made up for, entered into the ledger of a saga.

A reset begins a new run with a copy of the history up to some event; what was done after that stands in the
history of the old run alone. An address has the same idempotency key in all of them: what was done again is
the same effect, and what the participant has said of it last counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from .._core.compensation import PlanItem, flatten, select
from .._core.ledger import Ledger, LedgerEntry
from .._core.lifecycle import Lifecycle, Phase
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .saga_record import COUNTED, ActivityRecord, ChildRecord, SagaRecord, by_hand, closure_of_child

IN_DOUBT = (Outcome.STARTED, Outcome.UNKNOWN)
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RunView:
    """What the history of one run says, with those that it goes on from.

    Args:
        record: Of the run.
        ledger: As its code had it.
        pivot: What became of its pivot; None where it was not asked for.
        has_turned: Whether it has begun to compensate.
        left: The addresses of what only an earlier run of a child has done.
    """

    record: SagaRecord
    ledger: Ledger
    lifecycle: Lifecycle
    pivot: Outcome | None
    has_turned: bool
    left: frozenset[str] = frozenset()

    @property
    def is_gone(self) -> bool:
        """Whether its pivot is done, or may be, so that there is no way back."""
        return self.pivot in (*IN_DOUBT, Outcome.DONE) and not self.has_turned

    @property
    def ended_at(self) -> datetime:
        """When it did the last thing that it ever did."""
        return self.record.close.at if self.record.close else LATEST

    def starts(self) -> dict[str, datetime]:
        """When each line of its ledger began, as far as the histories go that are still kept."""
        return {address: at for address, at, _ in reversed(tuple(self._lines()))}

    def words(self) -> dict[str, datetime]:
        """When it last heard of each line of its ledger, or could have heard."""
        return {address: heard_at for address, _, heard_at in self._lines()}

    def _lines(self) -> Iterator[tuple[str, datetime, datetime]]:
        for line in self.record.lines:
            if not isinstance(line, ChildRecord):
                if line.mark.purpose in COUNTED:
                    yield line.address, line.scheduled_at, line.ended_at or self.ended_at
            elif line.was_refused or line.is_missing:
                yield line.address, line.asked_at, line.asked_at
            else:
                close = closure_of_child(line)
                yield line.address, line.asked_at, close.at if close else self.ended_at


def merge_runs(now: RunView, bases: Sequence[RunView]) -> tuple[Ledger, Lifecycle, frozenset[str]]:
    """The ledger of a saga with what its bases have done and it has not, and the addresses of the latter.

    Args:
        now: The run that counts.
        bases: What resets have left behind, the oldest first.
    """
    lines = _lines(now, bases)
    ledger = replace(now.ledger, entries={}, compensated=set(now.ledger.compensated))
    lifecycle = now.lifecycle
    left = set(now.left)
    for address, (entry, told) in lines.items():
        is_left = told is not now and not told.is_gone
        ledger.entries[address] = entry if is_left or told is now else replace(entry, compensations=())
        left |= {owed.address for owed in flatten(entry.compensations)} if is_left else set()
    words = {told.record.run_id: told.words() for told in (*bases, now)}
    heard = {a: words[told.record.run_id].get(a, EARLIEST) for a, (_, told) in lines.items()}
    for base in bases:
        _note(ledger, heard, base.ledger.compensated, by_hand(base.record), base.ended_at)
    for rescue in now.record.own_rescues:
        through = {
            effort.address
            for effort in rescue.efforts
            if effort.mark.purpose is Purpose.COMPENSATION and effort.verdict.outcome is Outcome.DONE
        }
        at = _taken_up_at(rescue, now)
        if rescue.efforts and at >= now.ended_at and lifecycle.phase is Phase.FORWARD:
            lifecycle.begin_compensation()
        _note(ledger, heard, through | by_hand(rescue), by_hand(rescue), at)
    return ledger, lifecycle, frozenset(left)


def is_past_pivot(now: RunView, bases: Sequence[RunView]) -> bool:
    """Whether a saga, or what a reset has left behind of it, has done its pivot, or may have.

    Asked again, under the same key, its participant has said what became of it.
    """
    for number, base in enumerate(bases):
        is_denied = any(later.pivot is Outcome.REJECTED for later in (*bases[number + 1 :], now))
        if base.is_gone and not (is_denied and base.pivot in IN_DOUBT):
            return True
    return now.is_gone


def left_by_resets(ledger: Ledger, left: frozenset[str]) -> tuple[PlanItem, ...]:
    """What is owed at these addresses, also after a pivot to which it does not belong."""
    return select(ledger.plan(), lambda address: address in left)


def _lines(now: RunView, bases: Sequence[RunView]) -> dict[str, tuple[LedgerEntry, RunView]]:
    """Every line, with the run that has the last word on it, in the order of their start."""
    lines: dict[str, tuple[LedgerEntry, RunView]] = {}
    for told in (*bases, now):
        for address, entry in told.ledger.entries.items():
            if address not in lines or not _stands(lines[address][0], entry, told):
                lines[address] = entry, told
    starts = now.starts()
    order = list(now.ledger.entries)
    for base in bases:
        begun = base.starts()
        for address in base.ledger.entries:
            if address in order:
                continue
            starts[address] = begun.get(address, EARLIEST)
            later = (n for n, each in enumerate(order) if starts.get(each, EARLIEST) > starts[address])
            order.insert(next(later, len(order)), address)
    return {address: lines[address] for address in order}


def _taken_up_at(rescue: SagaRecord, now: RunView) -> datetime:
    """Until when a rescue knows of everything; of the run that it was begun for, to the end."""
    request: object = rescue.request
    said = cast("dict[str, object]", request) if isinstance(request, dict) else {}
    return LATEST if said.get("run_id") == now.record.run_id else rescue.started_at or EARLIEST


def _stands(older: LedgerEntry, newer: LedgerEntry, told: RunView) -> bool:
    """Whether an effect may be there although a later run was refused it: it may have asked for another."""
    if newer.outcome not in (Outcome.REJECTED, Outcome.WITHDRAWN):
        return False
    if newer.is_child:
        # One that was begun anew knows of the one before.
        children = told.record.children
        return not any(child.address == newer.address and child.record for child in children)
    return bool(older.compensations) and older.outcome in (*IN_DOUBT, Outcome.DONE)


def _note(
    ledger: Ledger, heard: dict[str, datetime], made_up: set[str], settled: frozenset[str], at: datetime
) -> None:
    """Notes what somebody has made up for, unless it was heard of again after that."""
    lost = set(ledger.unresolved_children())
    for address, entry in tuple(ledger.entries.items()):
        if heard[address] > at:
            continue
        for owed in flatten(entry.compensations):
            if owed.address in made_up:
                ledger.mark_compensated(owed.address)
        if address in lost & settled:
            ledger.fail(address, Outcome.REJECTED)


def with_bases(record: SagaRecord) -> SagaRecord:
    """A saga with the lines of what resets have left behind, and who stepped in; copies are told once."""
    known = {_copy_of(line) for line in record.lines}
    children = {child.address for child in record.children}
    lines = list(record.lines)
    for base in reversed(record.bases):
        for line in base.lines:
            if _copy_of(line) in known or (isinstance(line, ChildRecord) and line.address in children):
                continue
            known.add(_copy_of(line))
            lines.append(replace(line, left_by=base.run_id))
    if not record.bases:
        return record
    verbs = [verb for each in (*record.bases, record) for verb in each.verbs]
    once = [verb for number, verb in enumerate(verbs) if verb not in verbs[:number]]
    return replace(record, lines=sorted(lines, key=_began_at), verbs=once)


def _copy_of(line: ActivityRecord | ChildRecord) -> tuple[object, ...]:
    if isinstance(line, ChildRecord):
        return line.address, line.asked_at
    return line.address, line.scheduled_at, line.mark.purpose


def _began_at(line: ActivityRecord | ChildRecord) -> datetime:
    return line.asked_at if isinstance(line, ChildRecord) else line.scheduled_at
