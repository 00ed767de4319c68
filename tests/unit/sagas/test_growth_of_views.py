"""Timeline and preview grow with the number of steps, and not faster."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType

import pytest

from sagas._core.activity_outcome import ActivityOutcome
from sagas._core.compensation import CompensationSpec
from sagas._core.outcome import Outcome
from sagas._core.purpose import Purpose
from sagas._history.preview import build_preview
from sagas._history.saga_record import ActivityRecord, SagaRecord
from sagas._history.timeline_builder import build_timeline
from sagas._wire.activity_header import ActivityHeader
from sagas.operator import render_preview, render_timeline

STEP = ActivityHeader(purpose=Purpose.STEP, compensation=CompensationSpec(activity="release-seat"))
COMPENSATION = ActivityHeader(purpose=Purpose.COMPENSATION)
AT = datetime(2026, 1, 2, tzinfo=UTC)


def saga_of(steps: int, *, is_compensated: bool) -> SagaRecord:
    """A saga of many steps, with or without a compensation of each step."""
    addresses = [f"reserve-seat#{number}" for number in range(steps)]
    record = SagaRecord("order-7", started_at=AT)
    record.scheduled += [activity(address, STEP) for address in addresses]
    if is_compensated:
        record.scheduled += [activity(address, COMPENSATION) for address in reversed(addresses)]
    return record


def activity(address: str, header: ActivityHeader) -> ActivityRecord:
    return ActivityRecord(
        address=address,
        activity_id=address,
        activity="reserve-seat",
        header=header,
        arguments=({},),
        scheduled_at=AT,
        maximum_attempts=5,
        ended_at=AT,
        result=ActivityOutcome(Outcome.DONE, "seat 7"),
    )


def calls_of(work: Callable[[], object]) -> int:
    """The number of calls of functions, which is the same in every run."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        del frame, argument
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("is_compensated", [False, True], ids=["forward", "compensated"])
@pytest.mark.parametrize(
    "view",
    [lambda each: render_timeline(build_timeline(each)), lambda each: render_preview(build_preview(each))],
    ids=["timeline", "preview"],
)
def test_twice_the_steps_take_twice_the_calls(
    view: Callable[[SagaRecord], str], *, is_compensated: bool
) -> None:
    """A view that looks at every step for each step would take four times the calls."""
    few, many = saga_of(150, is_compensated=is_compensated), saga_of(300, is_compensated=is_compensated)
    view(few)  # The first view fills the caches of pydantic.

    assert calls_of(lambda: view(many)) < 2.1 * calls_of(lambda: view(few))
