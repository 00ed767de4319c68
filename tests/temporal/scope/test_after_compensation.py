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

from ..fixtures.trip_saga import refuses
from ..fixtures.trip_worker import Handle, Stage

SCHEDULED = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED


async def give_up_sooner(stage: Stage, trip: Handle, errand: HistoryEvent) -> timedelta:
    """Has an activity wait for a worker for a moment only; returns for how long it would have waited."""
    scheduled = errand.activity_task_scheduled_event_attributes
    options = ActivityOptions()
    options.schedule_to_start_timeout.FromMilliseconds(50)
    await stage.client.workflow_service.update_activity_options(
        UpdateActivityOptionsRequest(
            namespace=stage.client.namespace,
            execution=WorkflowExecution(workflow_id=trip.id),
            id=scheduled.activity_id,
            activity_options=options,
            update_mask=FieldMask(paths=["schedule_to_start_timeout"]),
        )
    )
    return scheduled.schedule_to_start_timeout.ToTimedelta()


async def test_an_errand_that_no_worker_takes_is_seen_and_given_up(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """P8, P11: the saga is compensating as long as it waits, an hour at most, and then ends all the same."""
    operator = SagaClient(stage.client)
    trip = await stage.start("tell-far", "hotel", "fail")
    errand = await stage.event(trip, SCHEDULED, nth=3)

    waiting = await operator.show(trip.id)
    assert (waiting.status, waiting.closed) == ("compensating", None)
    assert [(s.address, s.purpose, s.outcome) for s in waiting.steps][-1:] == [
        ("tell-customer", "afterwards", "started")
    ]
    assert await give_up_sooner(stage, trip, errand) == timedelta(hours=1)

    assert (await stage.ending(trip)).saga == "compensated"
    assert [step.outcome for step in (await operator.show(trip.id)).steps][-1:] == ["unknown"]
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]
    assert [record for record in caplog.records if "after compensation: tell-customer" in record.getMessage()]


async def test_a_saga_that_was_stuck_is_not_stuck_while_it_does_its_errand(stage: Stage) -> None:
    """What was in the way is not any more."""
    stage.agency.when("cancel-hotel", refuses("too_late"))
    gate = stage.agency.hold("tell-customer")
    trip = await stage.start("tell", "hotel", "fail")
    await stage.status(trip, "stuck")
    await stage.retry(trip)
    await gate.entered.wait()

    assert (await SagaClient(stage.client).show(trip.id)).status == "compensating"
    gate.opened.set()
    assert (await stage.ending(trip)).saga == "compensated"
