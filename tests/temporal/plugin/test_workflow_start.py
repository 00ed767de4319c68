"""A workflow that cannot run as a saga fails before the first step, with the reason."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

PLAN = TripPlan(do=("hotel",))


@pytest.mark.parametrize("cut", ["execution_timeout", "run_timeout"])
async def test_saga_with_a_workflow_timeout_is_refused(harness: WorkerHarness, cut: str) -> None:
    """The timeout would end the workflow without compensations."""
    options: dict[str, Any] = {cut: timedelta(hours=1)}
    handle = await harness.client.start_workflow(
        TripSaga.run, PLAN, id=f"{cut}-{harness.cache}", task_queue=harness.task_queue, **options
    )
    harness.workflow_ids.append(handle.id)

    assert await harness.wait_for_ending(handle) == Ending("FAILED", None, "SagaRefused")
    assert harness.participants.started == []


@pytest.mark.parametrize(
    "arguments",
    [[{"do": "hotel"}], [{"do": ["hotel"], "more": 1}], [{}], [7], ["x"], [[PLAN]]],
    ids=str,
)
async def test_message_of_another_type_fails_the_workflow(
    harness: WorkerHarness, arguments: list[object]
) -> None:
    """The failure has the reason; the workflow does not wait for code that can read the message."""
    handle: Handle = await harness.client.start_workflow(
        "TripSaga",
        args=arguments,
        id=f"bad-{uuid4().hex[:8]}",
        task_queue=harness.task_queue,
    )
    harness.workflow_ids.append(handle.id)

    assert await harness.wait_for_ending(handle) == Ending("FAILED", None, "ValidationError")
    assert harness.participants.started == []


@pytest.mark.parametrize(
    "argument",
    [
        None,
        b"plan",
        RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{")),
        RawValue(Payload(metadata={"encoding": b"nobody/knows"}, data=b"{}")),
        RawValue(Payload()),
    ],
    ids=["null", "binary", "broken-json", "unknown-encoding", "empty"],
)
async def test_unreadable_message_fails_the_workflow(harness: WorkerHarness, argument: object) -> None:
    """Null, another encoding, and broken payloads."""
    handle: Handle = await harness.client.start_workflow(
        "TripSaga", argument, id=f"unread-{uuid4().hex[:8]}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(handle.id)

    assert (await harness.wait_for_ending(handle)).closed == "FAILED"
    assert harness.participants.started == []
