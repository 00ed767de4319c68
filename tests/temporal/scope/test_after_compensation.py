"""The action after the compensations: the saga waits for a limited time, and then ends."""

from datetime import timedelta

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import UpdateActivityOptionsRequest

from sagas.operator import SagaClient

from ..fixtures.trip_participants import rejects
from ..fixtures.worker_harness import Handle, WorkerHarness

SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED


async def shorten_start_timeout(harness: WorkerHarness, trip: Handle, event: HistoryEvent) -> timedelta:
    """Sets the schedule-to-start timeout of an activity to 50 ms, and returns the former timeout."""
    scheduled = event.activity_task_scheduled_event_attributes
    options = ActivityOptions()
    options.schedule_to_start_timeout.FromMilliseconds(50)
    await harness.client.workflow_service.update_activity_options(
        UpdateActivityOptionsRequest(
            namespace=harness.client.namespace,
            execution=WorkflowExecution(workflow_id=trip.id),
            id=scheduled.activity_id,
            activity_options=options,
            update_mask=FieldMask(paths=["schedule_to_start_timeout"]),
        )
    )
    return scheduled.schedule_to_start_timeout.ToTimedelta()


async def test_an_action_without_a_worker_is_shown_and_times_out(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """P8, P11: the saga is compensating during the wait of at most an hour, and ends as compensated."""
    operator = SagaClient(harness.client)
    trip = await harness.start_trip("notify-on-unpolled-queue", "hotel", "fail")
    event = await harness.wait_for_event(trip, SCHEDULED, nth=3)

    waiting = await operator.show(trip.id)
    assert (waiting.status, waiting.close_status) == ("compensating", None)
    assert [(s.address, s.purpose, s.outcome) for s in waiting.steps][-1:] == [
        ("tell-customer", "after-compensation", "started")
    ]
    assert await shorten_start_timeout(harness, trip, event) == timedelta(hours=1)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert [step.outcome for step in (await operator.show(trip.id)).steps][-1:] == ["unknown"]
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]
    assert [record for record in caplog.records if "after compensation: tell-customer" in record.getMessage()]


async def test_a_stuck_saga_is_not_stuck_after_its_compensations(harness: WorkerHarness) -> None:
    """After the last compensation, the status is compensating until the final action ends."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    latch = harness.participants.block("tell-customer")
    trip = await harness.start_trip("tell", "hotel", "fail")
    await harness.wait_for_status(trip, "stuck")
    await harness.retry_stuck(trip)
    await latch.entered.wait()

    assert (await SagaClient(harness.client).show(trip.id)).status == "compensating"
    latch.released.set()
    assert (await harness.wait_for_ending(trip)).saga == "compensated"
