"""The trace of a saga: a line per step and per compensation, in the order of the saga's decisions."""

from collections.abc import Iterator

from .._core.ids import in_parent
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._history.ledger_rebuild import outcome_of_attempts
from .._history.saga_record import ActivityRecord, ChildRecord, SagaRecord, manual_resolutions_of


def trace_of(record: SagaRecord) -> list[str]:
    """The lines of a saga; the lines of a child or independent saga stand where the saga started it.

    - `reserve-stock`: done;
    - `reserve-stock rejected`, `reserve-stock unknown`: another outcome;
    - `compensate reserve-stock`, `compensate reserve-stock skipped`, `compensate reserve-stock failing`.

    The order is the order of the commands in the history, which is the same in every run, also for steps in
    parallel. Probes and further rounds of the same call have no lines.
    """
    lines = list(_lines(record))
    for rescue in record.own_rescues:
        lines += _lines(rescue)
    return lines


def _lines(record: SagaRecord) -> Iterator[str]:
    seen = set[tuple[str, bool]]()
    for item in record.in_order:
        if isinstance(item, ChildRecord):
            for line in _lines(item.record) if item.record else ():
                yield _of_child(item.address, line)
            continue
        is_compensation = item.header.purpose is Purpose.COMPENSATION
        if item.header.purpose is Purpose.PROBE or (item.address, is_compensation) in seen:
            continue
        seen.add((item.address, is_compensation))
        calls = [each for each in record.activities if _is_same_call(each, item)]
        yield _compensation_line(record, calls) if is_compensation else _step_line(record, calls)


def _is_same_call(one: ActivityRecord, other: ActivityRecord) -> bool:
    purposes = {other.header.purpose}
    if other.header.purpose is not Purpose.COMPENSATION:
        purposes.add(Purpose.PROBE)
    return one.address == other.address and one.header.purpose in purposes


def _step_line(record: SagaRecord, calls: list[ActivityRecord]) -> str:
    address = calls[0].address
    is_retried_until_done = calls[0].header.purpose in (Purpose.PIVOT, Purpose.RETRIABLE)
    if is_retried_until_done and address in manual_resolutions_of(record):
        return f"{address} {manual_resolutions_of(record)[address]}"
    outcome = outcome_of_attempts(calls).outcome
    return address if outcome is Outcome.DONE else f"{address} {outcome.value}"


def _compensation_line(record: SagaRecord, calls: list[ActivityRecord]) -> str:
    line = f"compensate {calls[0].address}"
    if any(each.is_done for each in calls):
        return line
    return f"{line} {manual_resolutions_of(record).get(calls[0].address, 'failing')}"


def _of_child(child: str, line: str) -> str:
    """A line of a child, with the address seen from the parent."""
    prefix = "compensate " if line.startswith("compensate ") else ""
    address, _, words = line.removeprefix(prefix).partition(" ")
    return f"{prefix}{in_parent(child, address)}{' ' if words else ''}{words}"
