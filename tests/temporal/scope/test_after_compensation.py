"""What a saga does once everything is made up for: it has not ended before, and does not wait for ever."""

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


async def give_up_sooner(harness: WorkerHarness, trip: Handle, errand: HistoryEvent) -> timedelta:
    """Has an activity wait for a worker for a moment only; returns for how long it would have waited."""
    scheduled = errand.activity_task_scheduled_event_attributes
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


async def test_an_errand_that_no_worker_takes_is_seen_and_given_up(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    """P8, P11: the saga is compensating as long as it waits, an hour at most, and then ends all the same."""
    operator = SagaClient(harness.client)
    trip = await harness.start_trip("notify-on-unpolled-queue", "hotel", "fail")
    errand = await harness.wait_for_event(trip, SCHEDULED, nth=3)

    waiting = await operator.show(trip.id)
    assert (waiting.status, waiting.close_status) == ("compensating", None)
    assert [(s.address, s.purpose, s.outcome) for s in waiting.steps][-1:] == [
        ("tell-customer", "after-compensation", "started")
    ]
    assert await give_up_sooner(harness, trip, errand) == timedelta(hours=1)

    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    assert [step.outcome for step in (await operator.show(trip.id)).steps][-1:] == ["unknown"]
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]
    assert [record for record in caplog.records if "after compensation: tell-customer" in record.getMessage()]


async def test_a_saga_that_was_stuck_is_not_stuck_while_it_does_its_errand(harness: WorkerHarness) -> None:
    """What was in the way is not any more."""
    harness.participants.when("cancel-hotel", rejects("too_late"))
    latch = harness.participants.block("tell-customer")
    trip = await harness.start_trip("tell", "hotel", "fail")
    await harness.wait_for_status(trip, "stuck")
    await harness.retry_stuck(trip)
    await latch.entered.wait()

    assert (await SagaClient(harness.client).show(trip.id)).status == "compensating"
    latch.released.set()
    assert (await harness.wait_for_ending(trip)).saga == "compensated"
