"""Merges superseded runs and rescues into the ledger and the record of a saga.

A reset starts a new run with a copy of the history up to an event, and supersedes the run with the original
history. Later events are only in the history of the superseded run. A step has the same idempotency key in
all runs: a repeated step is the same effect, and the latest answer of the participant counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import cast

from .._core.compensation import PlanItem, flatten, select
from .._core.ledger import Ledger, LedgerEntry
from .._core.lifecycle import Lifecycle, Phase
from .._core.outcome import Outcome
from .saga_record import (
    LEDGER_PURPOSES,
    ActivityRecord,
    ChildRecord,
    SagaRecord,
    Scheduled,
    closure_of_child,
    manually_resolved,
)

IN_DOUBT = (Outcome.STARTED, Outcome.UNKNOWN)
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RunView:
    """The state of a saga by the history of a run and all predecessors.

    Args:
        record: The record of the run.
        ledger: The ledger of the code of the run.
        pivot: The outcome of the pivot; None if the pivot was not scheduled.
        has_compensated: Whether a compensation was scheduled.
        superseded: The addresses of steps from superseded runs of children only.
    """

    record: SagaRecord
    ledger: Ledger
    lifecycle: Lifecycle
    pivot: Outcome | None
    has_compensated: bool
    superseded: frozenset[str] = frozenset()

    @property
    def is_past_pivot(self) -> bool:
        """Whether the pivot is done or in doubt, and the run must not compensate."""
        return self.pivot in (*IN_DOUBT, Outcome.DONE) and not self.has_compensated

    @property
    def closed_at(self) -> datetime:
        """The time of the close; the end of time for an open run."""
        return self.record.closure.closed_at if self.record.closure else LATEST

    def start_times(self) -> dict[str, datetime]:
        """The start of each ledger entry, as far as the server keeps the histories."""
        return {address: started_at for address, started_at, _ in reversed(tuple(self._spans()))}

    def report_times(self) -> dict[str, datetime]:
        """The latest possible time of the report on each ledger entry."""
        return {address: reported_at for address, _, reported_at in self._spans()}

    def _spans(self) -> Iterator[tuple[str, datetime, datetime]]:
        for item in self.record.scheduled:
            if isinstance(item, ActivityRecord):
                if item.header.purpose in LEDGER_PURPOSES:
                    yield item.address, item.scheduled_at, item.ended_at or self.closed_at
            elif item.has_start_failed or item.is_missing:
                yield item.address, item.initiated_at, item.initiated_at
            else:
                closure = closure_of_child(item)
                yield item.address, item.initiated_at, closure.closed_at if closure else self.closed_at


def merge_runs(current: RunView, superseded: Sequence[RunView]) -> tuple[Ledger, Lifecycle, frozenset[str]]:
    """Merges the entries of superseded runs, and the effects of rescues, into the ledger of the current run.

    Args:
        current: The current run.
        superseded: The superseded runs, the oldest first.

    Returns:
        The merged ledger, and the addresses of steps from superseded runs only.
    """
    entries = _merge_entries(current, superseded)
    ledger = replace(current.ledger, entries={}, compensated=set(current.ledger.compensated))
    only_superseded = set(current.superseded)
    for address, (entry, run) in entries.items():
        is_superseded = run is not current and not run.is_past_pivot
        ledger.entries[address] = (
            entry if is_superseded or run is current else replace(entry, compensations=())
        )
        only_superseded |= {each.address for each in flatten(entry.compensations)} if is_superseded else set()
    reports = {run.record.run_id: run.report_times() for run in (*superseded, current)}
    reported_at = {
        address: reports[run.record.run_id].get(address, EARLIEST) for address, (_, run) in entries.items()
    }
    for run in superseded:
        resolved = manually_resolved(run.record)
        _apply_compensations(ledger, reported_at, run.ledger.compensated, resolved, run.closed_at)
    for rescue in current.record.own_rescues:
        _apply_rescue(ledger, reported_at, rescue, current)
    return ledger, current.lifecycle, frozenset(only_superseded)


def is_any_past_pivot(current: RunView, superseded: Sequence[RunView]) -> bool:
    """Whether the pivot is done or in doubt in any run.

    A later rejection resolves an earlier doubt: both runs used the same idempotency key.
    """
    for number, run in enumerate(superseded):
        is_rejected_later = any(
            later.pivot is Outcome.REJECTED for later in (*superseded[number + 1 :], current)
        )
        if run.is_past_pivot and not (is_rejected_later and run.pivot in IN_DOUBT):
            return True
    return current.is_past_pivot


def superseded_plan(ledger: Ledger, addresses: frozenset[str]) -> tuple[PlanItem, ...]:
    """The pending compensations at the addresses, even after the pivot of another run."""
    return select(ledger.plan(), lambda address: address in addresses)


def with_superseded_runs(record: SagaRecord) -> SagaRecord:
    """A record with the activities, children and verbs of the superseded runs, without copied events."""
    if not record.superseded_runs:
        return record
    known = {_identity(item) for item in record.scheduled}
    children = {child.address for child in record.children}
    scheduled = list(record.scheduled)
    for run in reversed(record.superseded_runs):
        for item in run.scheduled:
            is_child_again = isinstance(item, ChildRecord) and item.address in children
            if _identity(item) in known or is_child_again:
                continue
            known.add(_identity(item))
            scheduled.append(replace(item, superseded_run_id=run.run_id))
    verbs = [verb for each in (*record.superseded_runs, record) for verb in each.verbs]
    independent = [each for run in (*record.superseded_runs, record) for each in run.independent_sagas]
    distinct = [verb for number, verb in enumerate(verbs) if verb not in verbs[:number]]
    foreign_work = {
        (work.name, work.started_at): work
        for run in (*record.superseded_runs, record)
        for work in run.foreign_work
    }
    return replace(
        record,
        scheduled=sorted(scheduled, key=_scheduled_at),
        independent_sagas=list({each.address: each for each in independent}.values()),
        verbs=distinct,
        foreign_work=sorted(foreign_work.values(), key=attrgetter("started_at")),
    )


def _merge_entries(current: RunView, superseded: Sequence[RunView]) -> dict[str, tuple[LedgerEntry, RunView]]:
    """Every ledger entry with the run of the entry, in the order of their start."""
    entries: dict[str, tuple[LedgerEntry, RunView]] = {}
    for run in (*superseded, current):
        for address, entry in run.ledger.entries.items():
            if address not in entries or not _keeps_older(entries[address][0], entry, run):
                entries[address] = entry, run
    start_times = current.start_times()
    order = list(current.ledger.entries)
    for run in superseded:
        started = run.start_times()
        for address in run.ledger.entries:
            if address in order:
                continue
            start_times[address] = started.get(address, EARLIEST)
            later = (
                position
                for position, each in enumerate(order)
                if start_times.get(each, EARLIEST) > start_times[address]
            )
            order.insert(next(later, len(order)), address)
    return {address: entries[address] for address in order}


def _keeps_older(older: LedgerEntry, newer: LedgerEntry, run: RunView) -> bool:
    """Whether an older entry counts although a newer one exists, because the older effect may exist.

    A rejection in a later run does not exclude the effect: the later run may have sent another message.
    """
    if newer.outcome not in (Outcome.REJECTED, Outcome.WITHDRAWN):
        return False
    if newer.is_child:
        # The record of a child that was started again contains the earlier child as a superseded run.
        children = run.record.children
        return not any(child.address == newer.address and child.record for child in children)
    return bool(older.compensations) and older.outcome in (*IN_DOUBT, Outcome.DONE)


def _apply_rescue(
    ledger: Ledger, reported_at: dict[str, datetime], rescue: SagaRecord, current: RunView
) -> None:
    resolved = manually_resolved(rescue)
    compensated = {each.address for each in rescue.compensations if each.is_done} | resolved
    at = _covered_until(rescue, current)
    if rescue.activities and at >= current.closed_at and current.lifecycle.phase is Phase.FORWARD:
        current.lifecycle.begin_compensation()
    _apply_compensations(ledger, reported_at, compensated, resolved, at)


def _covered_until(rescue: SagaRecord, current: RunView) -> datetime:
    """The time up to which a rescue covers effects; a rescue of the current run covers all of them."""
    request: object = rescue.input
    fields = cast("dict[str, object]", request) if isinstance(request, dict) else {}
    is_of_current = fields.get("run_id") == current.record.run_id
    return LATEST if is_of_current else rescue.started_at or EARLIEST


def _apply_compensations(
    ledger: Ledger,
    reported_at: dict[str, datetime],
    compensated: set[str],
    resolved: frozenset[str],
    at: datetime,
) -> None:
    """Marks steps as compensated, except steps whose outcome was reported after the compensations.

    Args:
        ledger: The ledger to change.
        reported_at: The latest report on each entry.
        compensated: The addresses of compensated steps.
        resolved: The addresses of manually resolved steps and children.
        at: The time of the compensations.
    """
    unresolved = set(ledger.unresolved_children())
    for address, entry in tuple(ledger.entries.items()):
        if reported_at[address] > at:
            continue
        for pending in flatten(entry.compensations):
            if pending.address in compensated:
                ledger.mark_compensated(pending.address)
        if address in unresolved & resolved:
            ledger.fail(address, Outcome.REJECTED)


def _identity(item: Scheduled) -> tuple[object, ...]:
    """A key with the same value for an item and a copy of the item in another run."""
    if isinstance(item, ChildRecord):
        return item.address, item.initiated_at
    return item.address, item.scheduled_at, item.header.purpose


def _scheduled_at(item: Scheduled) -> datetime:
    return item.initiated_at if isinstance(item, ChildRecord) else item.scheduled_at
