"""Sagas that were reset in the Web UI: steps of superseded runs are shown, and compensated once."""

import asyncio
from collections import Counter
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client

from sagas.operator import RescueDecision, SagaClient, VerbRefusedError, render_preview, render_timeline
from tests.waiting import until

from ..fixtures.trip_participants import rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_rescues import requested_operations, rescue, rescued, uncompensated_bookings
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])

DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
NO_SIGNALS = ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL


@workflow.defn(name="TripSaga")
class OtherTrip(TripSaga):
    """A newer version that books a car instead of a flight."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        do = plan.do if plan.done else (*plan.do[:2], "again", "car", "sleep")
        return await super().run(plan.model_copy(update={"do": do}))


async def run_of(handle: Handle) -> str:
    """The current run of a workflow."""
    return str((await handle.describe()).run_id)


async def reset(client: Client, saga_id: str, *, before: str, run_id: str = "") -> Handle:
    """Resets a saga to the start of a step as the Web UI does, without repeating signals."""
    run_id = run_id or await run_of(client.get_workflow_handle(saga_id))
    point = 0
    async for event in client.get_workflow_handle(saga_id, run_id=run_id).fetch_history_events():
        scheduled = event.activity_task_scheduled_event_attributes
        child = event.start_child_workflow_execution_initiated_event_attributes
        if scheduled.activity_id == before or (child.workflow_id == f"{saga_id}/{before}" and before):
            point = scheduled.workflow_task_completed_event_id or child.workflow_task_completed_event_id
            break
    assert point, f"{saga_id} has not started {before}"
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=saga_id, run_id=run_id),
            reason="reset by the test",
            workflow_task_finish_event_id=point,
            request_id=str(uuid4()),
            reset_reapply_exclude_types=[NO_SIGNALS],
        )
    )
    return client.get_workflow_handle(saga_id, run_id=answer.run_id)


async def reset_and_terminate(harness: WorkerHarness, trip: Handle, step: str) -> None:
    """Resets a trip, and terminates the new run before a worker receives the first task."""
    await harness.stop_workers()
    anew = await reset(harness.client, trip.id, before=step)
    await anew.terminate("interrupted by the test")
    await harness.start_worker()


async def booked(harness: WorkerHarness, *do: "str | TripPlan", bookings: int = 2) -> Handle:
    """Starts a trip, and waits until the workflow has the results of some bookings."""
    trip = await harness.start_trip(*do)
    last = await harness.wait_for_event(trip, DONE, nth=bookings)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=last.event_id)
    return trip


async def test_steps_of_a_superseded_run_are_compensated(harness: WorkerHarness) -> None:
    """The steps are shown and pending in their order, and a repeated rescue changes nothing."""
    trip = await booked(harness, "hotel", "flight", "wait")
    await reset_and_terminate(harness, trip, "book-flight")
    client = SagaClient(harness.client)

    timeline, preview = await client.show(trip.id), await client.preview(trip.id)
    outcome = await rescued(harness, trip.id)

    assert [(line.address, bool(line.superseded_run_id)) for line in timeline.steps] == [
        ("book-hotel", False),
        ("book-flight", True),
    ]
    assert "executed before a reset, by run " in render_timeline(timeline, width=100)
    assert [each.address for each in preview.compensations] == ["book-flight", "book-hotel"]
    assert outcome.pending == ("book-flight", "book-hotel")
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]
    assert uncompensated_bookings(harness, trip.id) == []
    assert await rescue(harness, trip.id) == outcome.model_copy(update={"is_new": False})
    assert (await client.preview(trip.id)).sentence == "no compensation is pending"


async def test_repeated_step_is_compensated_once(harness: WorkerHarness) -> None:
    """The step has the same key in both runs, and is a single effect."""
    trip = await booked(harness, "hotel", "flight", "wait")
    anew = await reset(harness.client, trip.id, before="book-flight")
    await harness.wait_for_event(anew, DONE, nth=2)
    await anew.terminate("x")

    assert (await rescued(harness, trip.id)).pending == ("book-flight", "book-hotel")

    assert Counter(harness.participants.started)["cancel-flight"] == 1
    assert len(set(harness.participants.keys["book-flight"])) == 1


async def test_stuck_saga_waits_for_an_operator_after_a_reset(harness: WorkerHarness) -> None:
    """An activity of the superseded run has no end, and does not count as running."""
    latch = harness.participants.block("book-flight")
    harness.participants.when("cancel-hotel", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "fail")
    await latch.entered.wait()
    anew = await reset(harness.client, trip.id, before="book-hotel")
    await harness.wait_for_status(anew, "stuck")
    latch.released.set()

    timeline = await SagaClient(harness.client).show(trip.id)

    assert [wait.condition for wait in timeline.waits] == ["for-operator"]


async def test_both_superseded_runs_of_two_resets_are_read(harness: WorkerHarness) -> None:
    """Each history names only the run from which the history was copied."""
    trip = await booked(harness, "hotel", "flight", "car", "wait", bookings=3)
    await harness.stop_workers()
    await reset(harness.client, trip.id, before="book-car")
    await reset_and_terminate(harness, trip, "book-flight")

    assert (await rescued(harness, trip.id)).pending == ("book-car", "book-flight", "book-hotel")
    assert uncompensated_bookings(harness, trip.id) == []


async def test_run_superseded_by_a_second_reset_of_the_same_run_is_read(harness: WorkerHarness) -> None:
    """No history names the run, but the server lists the run."""
    trip = await booked(harness, "hotel", "wait", "flight", "sleep", bookings=1)
    first = await run_of(trip)
    second = await reset(harness.client, trip.id, before="book-hotel", run_id=first)
    await harness.wait_for_event(second, DONE)
    await second.signal("go")
    await harness.wait_for_event(second, DONE, nth=2)
    third = await reset(harness.client, trip.id, before="book-hotel", run_id=first)
    await harness.wait_for_event(third, DONE)
    await third.terminate("x")

    async def is_listed() -> bool:
        query = f"WorkflowId = '{trip.id}'"
        return len([each async for each in harness.client.list_workflows(query)]) == 3

    await until(is_listed)
    outcome = await rescued(harness, trip.id)

    assert set(outcome.pending) == {"book-flight", "book-hotel"}
    assert uncompensated_bookings(harness, trip.id) == []


async def test_reset_to_before_a_continue_as_new_supersedes_all_later_runs(harness: WorkerHarness) -> None:
    """The runs after the reset run are superseded as well."""
    trip = await harness.start_trip("hotel", "flight", "again", "car", "wait")
    first = await run_of(trip)
    await harness.wait_for_event(await harness.wait_for_next_run(trip), DONE)
    await harness.stop_workers()
    anew = await reset(harness.client, trip.id, before="book-flight", run_id=first)
    await anew.terminate("x")
    await harness.start_worker()

    assert (await rescued(harness, trip.id)).pending == ("book-car", "book-flight", "book-hotel")
    assert uncompensated_bookings(harness, trip.id) == []


async def test_saga_that_continued_as_new_after_a_reset_is_rescued(harness: WorkerHarness) -> None:
    """The superseded steps keep their place between earlier and later steps."""
    trip = await booked(harness, "hotel", "wait", "flight", "sleep", bookings=1)
    await trip.signal("go")
    await harness.wait_for_event(trip, DONE, nth=2)
    await harness.stop_workers()
    harness.workflows = [OtherTrip]
    anew = await reset(harness.client, trip.id, before="book-flight")
    await harness.start_worker()
    last = await harness.wait_for_next_run(anew)
    await harness.wait_for_event(last, DONE)
    await last.terminate("x")

    assert (await rescued(harness, trip.id)).pending == ("book-car", "book-flight", "book-hotel")


async def test_step_compensated_before_a_reset_is_not_pending(harness: WorkerHarness) -> None:
    """The idempotency key of the step is void."""
    trip = await harness.start_trip("hotel", "flight", "fail")
    assert (await harness.wait_for_ending(trip)).saga == "compensated"
    await reset_and_terminate(harness, trip, "book-flight")

    assert (await rescue(harness, trip.id)).decision is RescueDecision.NOTHING_PENDING

    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


async def test_step_resolved_before_a_reset_is_not_pending(harness: WorkerHarness) -> None:
    """The timeline and the preview name the operator."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_status(trip, "stuck")
    client = SagaClient(harness.client)
    await client.skip(trip.id, "book-flight", by="mia", because="a credit note was sent")
    assert (await harness.wait_for_ending(trip)).saga == "settled"
    await reset_and_terminate(harness, trip, "book-flight")

    assert (await rescue(harness, trip.id)).decision is RescueDecision.NOTHING_PENDING

    timeline, preview = await client.show(trip.id), await client.preview(trip.id)
    assert "skip book-flight by mia: a credit note was sent" in render_timeline(timeline)
    assert [line.compensations[0].state.value for line in timeline.steps] == ["done", "skipped"]
    assert [(stay.address, stay.reason) for stay in preview.remaining_effects] == [
        ("book-flight", "skipped by mia: a credit note was sent")
    ]


async def test_compensated_saga_is_rescued_for_a_superseded_step(harness: WorkerHarness) -> None:
    """The saga has compensated the steps of the last run; the rescue compensates the superseded step."""
    trip = await booked(harness, "hotel", "wait", "flight", "sleep", bookings=1)
    await trip.signal("go")
    await harness.wait_for_event(trip, DONE, nth=2)
    anew = await reset(harness.client, trip.id, before="book-hotel")
    await harness.wait_for_event(anew, DONE)
    client = SagaClient(harness.client)
    while_it_runs = await client.preview(trip.id)
    with pytest.raises(VerbRefusedError, match="still running"):
        await rescue(harness, trip.id)
    await anew.cancel()
    assert (await harness.wait_for_ending(anew)).saga == "compensated"

    outcome = await rescued(harness, trip.id)

    assert while_it_runs.sentence == ("1 compensation would run; 1 effect from before a reset needs a rescue")
    assert "only a rescue compensates these steps:\n  book-flight  cancel-flight" in render_preview(
        while_it_runs
    )
    assert outcome.pending == ("book-flight",)
    assert uncompensated_bookings(harness, trip.id) == []
    assert (await rescue(harness, trip.id)).run_id == outcome.run_id


@pytest.mark.parametrize("after", ["look", "pay"])
async def test_completed_saga_is_rescued_for_a_superseded_step(harness: WorkerHarness, after: str) -> None:
    """The later run was rejected for another message, so the earlier effect exists; own effects remain."""
    trip = await booked(harness, "hotel", "best-effort-flight", "wait", after)
    harness.participants.when("book-flight", rejects("key_reuse"))
    anew = await reset(harness.client, trip.id, before="book-hotel")
    await anew.signal("go")
    assert (await harness.wait_for_ending(anew)).closed == "COMPLETED"
    client = SagaClient(harness.client)
    before = await client.preview(trip.id)

    outcome = await rescued(harness, trip.id)

    assert (before.has_completed, [each.address for each in before.superseded_compensations]) == (
        True,
        ["book-flight"],
    )
    assert outcome.pending == ("book-flight",)
    assert "cancel-hotel" not in harness.participants.started
    assert (await rescue(harness, trip.id)).run_id == outcome.run_id
    assert (await client.preview(trip.id)).superseded_compensations == ()


async def test_steps_of_a_superseded_run_past_its_pivot_are_not_compensated(harness: WorkerHarness) -> None:
    """The rejection of a step in a later run changes nothing."""
    trip = await booked(harness, "hotel", "best-effort-flight", "pay", "wait", bookings=3)
    harness.participants.when("book-flight", rejects("key_reuse"))
    anew = await reset(harness.client, trip.id, before="book-hotel")
    await anew.signal("go")
    assert (await harness.wait_for_ending(anew)).closed == "COMPLETED"

    with pytest.raises(VerbRefusedError, match="completed"):
        await rescue(harness, trip.id)


async def test_saga_continues_when_a_superseded_run_has_passed_the_pivot(harness: WorkerHarness) -> None:
    """Nothing is compensated after the pivot, even if only a superseded run has passed the pivot."""
    trip = await booked(harness, "hotel", "flight", "pay", "wait", bookings=3)
    await reset_and_terminate(harness, trip, "book-flight")

    outcome = await rescue(harness, trip.id)
    assert outcome.decision is RescueDecision.CONTINUING
    again = harness.client.get_workflow_handle(trip.id)
    await again.signal("go")

    assert (await harness.wait_for_ending(again)).closed == "COMPLETED"
    assert not [name for name in harness.participants.started if name.startswith("cancel-")]


async def test_saga_compensated_after_the_pivot_of_a_superseded_run_needs_a_manual_decision(
    harness: WorkerHarness,
) -> None:
    """A rescue can neither compensate nor continue the saga."""
    trip = await booked(harness, "hotel", "flight", "pay", "wait", bookings=3)
    latch = harness.participants.block("book-flight")
    anew = await reset(harness.client, trip.id, before="book-flight")
    await latch.entered.wait()
    await anew.cancel()
    latch.released.set()
    assert (await harness.wait_for_ending(anew)).saga == "compensated"

    with pytest.raises(VerbRefusedError, match="compensated after a reset"):
        await rescue(harness, trip.id)


@pytest.mark.parametrize("is_open", [True, False], ids=["under-way", "closed"])
async def test_child_of_a_superseded_run_is_compensated(harness: WorkerHarness, *, is_open: bool) -> None:
    """An open child is cancelled first, and compensates the child's steps."""
    leg = TripPlan(do=("flight", "car", "wait") if is_open else ("flight", "car"))
    trip = await harness.start_trip("hotel", leg, "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, DONE, nth=2)
    if not is_open:
        await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await reset_and_terminate(harness, trip, "leg")

    outcome = await rescued(harness, trip.id)

    assert outcome.pending == (
        ("book-hotel",) if is_open else ("leg:book-car", "leg:book-flight", "book-hotel")
    )
    assert uncompensated_bookings(harness, trip.id) == []


@pytest.mark.parametrize("do", [("flight", "wait", "car"), ("flight", "wait", "again", "car")], ids=str)
async def test_steps_of_a_child_that_was_started_again_are_compensated(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """The earlier child had executed more steps, under the same keys; a variant continued as new."""
    trip = await harness.start_trip("hotel", TripPlan(do=do), "sleep")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await child.signal("go")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    anew = await reset(harness.client, trip.id, before="leg")
    started = await harness.wait_for_event(anew, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    run_id = started.child_workflow_execution_started_event_attributes.workflow_execution.run_id
    again = harness.client.get_workflow_handle(child.id, run_id=run_id)
    await harness.wait_for_event(again, DONE)
    await anew.cancel()
    assert (await harness.wait_for_ending(anew)).saga == "compensated"

    assert (await rescued(harness, trip.id)).pending == ("leg:book-car",)

    assert uncompensated_bookings(harness, trip.id) == []
    assert Counter(harness.participants.started)["cancel-flight"] == 1


async def test_saga_that_was_rescued_and_reset_is_rescued_again(harness: WorkerHarness) -> None:
    """Concurrent and repeated requests start one further rescue, for the steps since the first rescue."""
    trip = await booked(harness, "hotel", "wait", "flight", "sleep", bookings=1)
    await trip.terminate("x")
    first = await rescued(harness, trip.id)
    anew = await reset(harness.client, trip.id, before="book-hotel")
    await harness.wait_for_event(anew, DONE)
    await anew.signal("go")
    await harness.wait_for_event(anew, DONE, nth=2)
    await anew.terminate("y")

    outcomes = await asyncio.gather(*(rescue(harness, trip.id, by=f"o{n}") for n in range(4)))
    again = await rescued(harness, trip.id)

    assert first.workflow_id == f"{trip.id}~rescue"
    assert {each.workflow_id for each in outcomes} == {again.workflow_id} == {f"{trip.id}~rescue-2"}
    assert [each.is_new for each in outcomes].count(True) == 1
    assert again.pending == ("book-flight", "book-hotel")
    assert uncompensated_bookings(harness, trip.id) == []
    client = SagaClient(harness.client)
    timeline = await client.show(again.workflow_id)
    assert [each.id for each in timeline.rescues] == [first.workflow_id, again.workflow_id]

    async def is_listed() -> bool:
        sagas = await client.list(status="terminated", query=f"WorkflowId = '{trip.id}'")
        return [each.rescue for each in sagas] == ["compensated"]

    await until(is_listed)


async def test_step_compensated_by_a_rescue_is_not_pending_after_a_reset(harness: WorkerHarness) -> None:
    """The step was not repeated since."""
    trip = await booked(harness, "hotel", "flight", "wait")
    await trip.terminate("x")
    first = await rescued(harness, trip.id)
    await reset_and_terminate(harness, trip, "book-flight")

    assert (await rescue(harness, trip.id)).run_id == first.run_id

    assert Counter(harness.participants.started)["cancel-hotel"] == 1


async def test_rescue_of_an_earlier_saga_with_the_same_id_does_not_count(harness: WorkerHarness) -> None:
    """The later saga needs a rescue of its own, although the keys of the steps are the same."""
    trip = await booked(harness, "hotel", "wait", bookings=1)
    await trip.terminate("x")
    await rescued(harness, trip.id)
    await harness.client.start_workflow(
        TripSaga.run, TripPlan(do=("flight", "wait")), id=trip.id, task_queue=harness.task_queue
    )
    later = harness.client.get_workflow_handle(trip.id)
    await harness.wait_for_event(later, DONE)
    assert (await SagaClient(harness.client).show(trip.id)).rescues == ()
    await later.terminate("y")

    outcome = await rescued(harness, trip.id)

    assert (outcome.workflow_id, outcome.pending) == (f"{trip.id}~rescue-2", ("book-flight",))
    assert [name for name, _ in requested_operations(harness, trip.id)][-1] == "cancel-flight"
