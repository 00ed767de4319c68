"""The operators' client and the `sagas` command: lists, timelines, previews and verbs."""

import asyncio
import json
import re
from datetime import timedelta

import pytest
from pydantic import ValidationError
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import PauseWorkflowExecutionRequest, UnpauseWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError

from sagas import SagaError, SagaPlugin
from sagas.operator import (
    NoWorkerError,
    RecoveryDirection,
    SagaClient,
    SagaNotFoundError,
    Timeline,
    VerbRefusedError,
    render_mermaid,
    render_timeline,
)
from tests.waiting import until

from ..fixtures.sagas_command import sagas
from ..fixtures.trip_participants import ActivityLatch, fails, rejects
from ..fixtures.trip_plan import Booking, TripPlan
from ..fixtures.worker_harness import PATIENCE, Handle, WorkerHarness
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..plugin.test_workflows_without_sagas import Everyday

WORKFLOWS = [*USUAL, Everyday]

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])


@pytest.fixture
def operator(client: Client) -> SagaClient:
    """The client of an operator."""
    return SagaClient(client, timeout=timedelta(seconds=PATIENCE))


async def stuck_trip(harness: WorkerHarness) -> Handle:
    """Starts a saga whose second compensation fails with a final rejection."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", TripPlan(do=("car",)), "look", "fail")
    await harness.wait_for_status(trip, "stuck")
    # The older compensations run although the newer one is stuck.
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=5)
    return trip


async def test_timeline_of_a_stuck_saga(harness: WorkerHarness, operator: SagaClient) -> None:
    """The timeline has outcomes, the progress of compensations, and the reason of the failing one."""
    trip = await stuck_trip(harness)

    timeline = await operator.show(trip.id)

    assert (timeline.status, timeline.recovery_direction, timeline.close_status) == (
        "stuck",
        "backward",
        None,
    )
    steps = [(s.address, s.purpose, s.outcome, [c.state for c in s.compensations]) for s in timeline.steps]
    assert steps == [
        ("book-hotel", "step", "done", ["done"]),
        ("book-flight", "step", "done", ["failing"]),
        ("leg", "child", "done", ["done"]),
        ("look-around", "step", "done", []),
    ]
    assert timeline.steps[1].compensations[0].reason == "too_late, sorry"
    child = timeline.steps[2].child
    assert child is not None
    assert [(s.address, [c.state for c in s.compensations]) for s in child.steps] == [("book-car", ["done"])]


async def test_timeline_has_the_audit_trail(harness: WorkerHarness, operator: SagaClient) -> None:
    """Operator and reason are part of the timeline, also after the end of the saga."""
    trip = await stuck_trip(harness)
    skipped = await operator.skip(trip.id, "book-flight", by="mia", because="a credit note was sent")
    assert skipped == "compensating"
    assert (await harness.wait_for_ending(trip)).saga == "settled"

    timeline = await operator.show(trip.id)

    assert timeline.status == "settled"
    assert [(v.verb, v.target, v.by, v.because) for v in timeline.audit_trail] == [
        ("saga-skip", "book-flight", "mia", "a credit note was sent")
    ]
    assert timeline.steps[1].compensations[0].state == "skipped"
    assert Timeline.model_validate_json(timeline.model_dump_json()) == timeline
    text = render_timeline(timeline)
    assert "skip book-flight by mia: a credit note was sent" in text
    assert max(map(len, text.splitlines())) <= 80
    assert render_mermaid(timeline).startswith("flowchart TD\n")


async def test_timeline_distinguishes_completed_from_skipped_steps(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """A manually completed step after the pivot has no error any more."""
    harness.participants.when("send-ticket", fails(final=True))
    forth = await harness.start_trip("hotel", "pay", "ticket")
    await harness.wait_for_status(forth, "stuck")
    await operator.complete(forth.id, "send-ticket", by="mia", because="sent by post")
    await harness.wait_for_ending(forth)
    for name in ("cancel-hotel", "cancel-flight"):
        harness.participants.when(name, *[rejects("too_late")] * 2)
    harness.participants.when("pay", fails(final=True))
    back = await harness.start_trip("hotel", "flight", "pay-once")
    await harness.wait_for_status(back, "stuck")
    await operator.skip(back.id, "pay", by="mia", because="the bank has no payment")
    failed = await harness.wait_for_event(back, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=3)
    await harness.wait_for_event(back, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=failed.event_id)
    await operator.skip(back.id, "book-hotel", by="mia", because="x")
    await operator.complete(back.id, "book-flight", by="mia", because="x")
    await harness.wait_for_ending(back)

    ticket = (await operator.show(forth.id)).steps[-1]
    timeline = await operator.show(back.id)

    assert (ticket.outcome, ticket.manual_resolution, ticket.reason) == ("done", "completed-manually", "")
    assert (timeline.steps[-1].outcome, timeline.steps[-1].manual_resolution) == ("rejected", "skipped")
    states = {line.address: [each.state for each in line.compensations] for line in timeline.steps}
    assert states == {"book-hotel": ["skipped"], "book-flight": ["completed-manually"], "pay": []}
    text = re.sub(" +", " ", render_timeline(await operator.show(forth.id)))
    assert " send-ticket (retriable) completed 1 " in text
    assert "the connection was lost" not in text
    assert " pay (pivot) skipped 1 " in re.sub(" +", " ", render_timeline(timeline))


async def test_timeline_has_the_waits_of_an_open_saga(harness: WorkerHarness, operator: SagaClient) -> None:
    """A saga waits for an approval, an event or the next attempt, each with the latest time."""
    trip = await harness.start_trip("boss3600", "visa", "flight", "fail")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_STARTED)
    decision = await operator.show(trip.id)
    await operator.approve(trip.id, "big-trip", by="mia", because="x", roles=frozenset({"boss"}))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_STARTED, nth=2)
    event = await operator.show(trip.id)
    harness.participants.when("cancel-flight", *[fails()] * 2)
    await trip.signal("visa", Booking(number="v-1"))
    await harness.wait_for_status(trip, "stuck")
    attempt = await operator.show(trip.id)

    assert [(wait.condition, wait.subject, wait.role) for wait in decision.waits] == [
        ("until-approved", "big-trip", "boss")
    ]
    assert "waits: until big-trip is approved by boss (at the latest " in render_timeline(decision, width=200)
    assert decision.waits[0].command == f"sagas approve {trip.id} big-trip --role boss --because REASON"
    assert [wait.condition for wait in event.waits] == ["until visa"]
    assert [wait.condition for wait in attempt.waits] == ["until the next attempt"]
    (next_attempt,), since = attempt.waits, attempt.status_at
    assert since is not None
    assert next_attempt.until is not None
    # Both are commands of one workflow task, which the server executes together.
    assert timedelta(seconds=4.9) < next_attempt.until - since < timedelta(seconds=5.1)
    wait = f"waits: until the next attempt (at the latest {next_attempt.until:%Y-%m-%d %H:%M:%S} UTC)"
    assert wait in render_timeline(attempt)
    assert "approve big-trip (yes) by mia: x" in render_timeline(attempt)
    assert "saga-approve" not in await harness.current_details(trip)
    assert "approve big-trip (yes) by mia: x" in await harness.current_details(trip)
    await operator.complete(trip.id, "book-flight", by="mia", because="x")
    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert (await operator.show(trip.id)).waits == ()


async def test_timeline_has_the_deadline_only_before_the_pivot(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Past the pivot, and while compensating, the deadline has no effect."""

    async def waits(trip: Handle) -> list[str]:
        return [wait.condition for wait in (await operator.show(trip.id)).waits]

    forth = await harness.start_trip("hotel", "wait", "pay", "ticket", seconds=3600)
    await harness.wait_for_event(forth, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    before = await waits(forth)
    harness.participants.when("send-ticket", fails())
    await forth.signal("go")
    await harness.wait_for_status(forth, "stuck")
    after = await waits(forth)
    harness.participants.when("cancel-flight", rejects("too_late"))
    back = await harness.start_trip("flight", "fail", seconds=3600)
    await harness.wait_for_status(back, "stuck")
    compensating = await waits(back)
    await harness.retry_stuck(forth)
    await harness.retry_stuck(back)
    await harness.wait_for_ending(forth)
    await harness.wait_for_ending(back)

    assert before == ["the saga's deadline"]
    assert after == ["until the next attempt"]
    assert compensating == ["for-operator"]


async def test_timeline_of_a_parent_names_a_stuck_child(harness: WorkerHarness, operator: SagaClient) -> None:
    """The operator sends verbs to the child, by the id of the child."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "fail")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_status(child, "stuck")

    text = render_timeline(await operator.show(trip.id))

    assert text.startswith(f"{trip.id}  TripSaga  RUNNING\n")
    assert f"\n      {child.id} is stuck\n" in text
    await operator.skip(child.id, "book-flight", by="mia", because="x")
    await harness.wait_for_ending(trip)


async def test_timeline_reports_failing_workflow_code(harness: WorkerHarness, operator: SagaClient) -> None:
    """Only mended code or a termination helps, so a rescue is refused."""
    trip = await harness.start_trip("hotel", "pay", "pay")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    timeline = await operator.show(trip.id)

    assert timeline.task_failure is not None
    assert timeline.task_failure.reason.endswith(": 'pay' is a second pivot; a saga has one")
    since = f"{timeline.task_failure.since:%Y-%m-%d %H:%M:%S} UTC"
    failure = f"the workflow code fails since {since}: {timeline.task_failure.reason} caused by"
    text = " ".join(render_timeline(timeline).split())
    assert failure in text
    assert "mend the code, and restart the workers step outcome" in text
    with pytest.raises(
        VerbRefusedError,
        match=r"workflow code fails \(.* 'pay' is .*\): mend the code, and restart the workers$",
    ):
        await operator.rescue(trip.id, by="mia", because="x")
    await trip.terminate("the code will not be fixed")
    harness.workflow_ids.remove(trip.id)  # the workflow code fails in a replay as well
    assert (await operator.show(trip.id)).task_failure is None


async def test_timeline_of_a_parent_names_a_child_with_failing_code(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """The parent itself cannot notice the failure."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "fail-after-block")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    text = render_timeline(await operator.show(trip.id))

    assert f"\n      {child.id}: the workflow code fails since " in text
    await child.terminate("the code will not be fixed")
    await trip.terminate("the code will not be fixed")
    harness.workflow_ids.remove(trip.id)  # the workflow code fails in a replay as well


async def test_timeline_has_the_last_failure_during_the_next_attempt(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """During an attempt, the line of the step has the last reason and the number of attempts."""
    latch = ActivityLatch()
    harness.participants.when("pay", fails(), fails(), latch.block)
    trip = await harness.start_trip("hotel", "pay")
    await harness.wait_for_status(trip, "stuck")
    await harness.retry_stuck(trip)
    await latch.entered.wait()
    pivot = (await operator.show(trip.id)).steps[-1]
    latch.released.set()
    await harness.wait_for_ending(trip)

    assert (pivot.outcome, pivot.reason) == ("started", "the connection was lost")
    done = (await operator.show(trip.id)).steps[-1]
    assert (done.outcome, done.reason, done.attempts) == ("done", "", 3)


async def test_preview_has_compensations_in_order_and_remaining_effects(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Nothing would be compensated once the pivot is done."""
    trip = await harness.start_trip(
        "hotel",
        TripPlan(do=("car", "best-effort-ticket")),
        "hotel|flight",
        "wait",
        "pay",
        "wait-ignoring-cancel",
    )
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=3)

    before = await operator.preview(trip.id)
    await trip.signal("go")
    await harness.wait_for_ending(trip)
    after = await operator.preview(trip.id)

    addresses = [each.address for each in before.compensations]
    assert sorted(addresses[:2]) == ["book-flight", "book-hotel#2"]
    assert addresses[2:] == ["leg:book-car", "book-hotel"]
    assert [stay.address for stay in before.remaining_effects] == ["leg:send-ticket"]
    assert after.compensations == ()
    assert {s.address for s in after.remaining_effects} == {*addresses, "leg:send-ticket", "pay"}
    assert after.sentence == "nothing would be compensated: the saga has completed"


async def test_preview_equals_the_compensations_that_then_run(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """The order is the same as well."""
    trip = await harness.start_trip("hotel", TripPlan(do=("car", "flight")), "hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    preview = await operator.preview(trip.id)

    await operator.compensate(trip.id, by="mia", because="the customer called")
    await harness.wait_for_ending(trip)

    assert harness.participants.started[4:] == [each.activity for each in preview.compensations]
    assert (await operator.preview(trip.id)).sentence == "no compensation is pending"


async def test_preview_has_the_compensations_of_an_open_pivot_child(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Before the child's own pivot, a cancel compensates the child and the parent."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "wait", "pay"), is_pivot=True), "ticket")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    preview, timeline = await operator.preview(trip.id), await operator.show(trip.id)
    await trip.cancel()
    await harness.wait_for_ending(trip)

    assert preview.recovery_direction is RecoveryDirection.BACKWARD
    assert [each.address for each in preview.compensations] == ["leg:book-flight", "book-hotel"]
    assert harness.participants.started[2:] == [each.activity for each in preview.compensations]
    assert timeline.recovery_direction is RecoveryDirection.BACKWARD
    assert [(each.address, each.purpose) for each in timeline.steps] == [
        ("book-hotel", "step"),
        ("leg", "pivot"),
    ]


async def test_preview_has_no_compensation_once_a_pivot_child_has_passed_its_own_pivot(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """From then on, the child and the parent go forward."""
    trip = await harness.start_trip("hotel", TripPlan(do=("pay", "wait"), is_pivot=True), "ticket")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    preview = await operator.preview(trip.id)
    await child.signal("go")
    await harness.wait_for_ending(trip)

    assert (preview.recovery_direction, preview.compensations) == (RecoveryDirection.FORWARD, ())


async def test_preview_has_the_compensations_of_an_open_child(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """An open child compensates before its parent; its effects do not remain, and are not unknown."""
    night = TripPlan(do=("hotel", "wait"), name="night")
    trip = await harness.start_trip("hotel", TripPlan(do=("car", "best-effort-ticket", night)))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(
        harness.child_of(child, "night"), EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    )

    preview = await operator.preview(trip.id)
    await operator.compensate(trip.id, by="mia", because="the customer called")
    await harness.wait_for_ending(trip)

    assert [each.address for each in preview.compensations] == [
        "leg/night:book-hotel",
        "leg:book-car",
        "book-hotel",
    ]
    assert [stay.address for stay in preview.remaining_effects] == ["leg:send-ticket"]
    assert preview.unresolved_children == ()
    assert harness.participants.started[4:] == [each.activity for each in preview.compensations]


async def test_preview_has_a_sequence_for_each_of_several_open_children(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Open children compensate in parallel."""
    legs = (TripPlan(do=("hotel", "wait"), name="a"), TripPlan(do=("flight", "wait"), name="b"))
    trip = await harness.start_trip("car", "a|b", legs=legs)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, nth=2)
    for leg in legs:
        await harness.wait_for_event(
            harness.child_of(trip, leg.name), EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        )

    preview = await operator.preview(trip.id)
    for leg in legs:
        await harness.child_of(trip, leg.name).signal("go")
    await harness.wait_for_ending(trip)

    assert [(each.address, each.branch) for each in preview.compensations] == [
        ("a:book-hotel", "1"),
        ("b:book-flight", "2"),
        ("book-car", ""),
    ]
    assert (preview.remaining_effects, preview.unresolved_children) == ((), ())


async def test_preview_of_a_completed_child_refers_to_the_root(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """The child's history does not have the compensations, which the parent runs."""
    night = TripPlan(do=("hotel", "best-effort-ticket"), name="night")
    trip = await harness.start_trip(TripPlan(do=("car", night)), "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    child = harness.child_of(harness.child_of(trip, "leg"), "night")

    preview, timeline = await operator.preview(child.id), await operator.show(child.id)
    of_root = await operator.preview(trip.id)

    assert preview.root_id == trip.id
    assert preview.sentence == f"the saga is a completed child: see the preview of its root {trip.id!r}"
    assert preview.compensations == ()
    assert [stay.address for stay in preview.remaining_effects] == ["send-ticket"]
    assert [each.state for line in timeline.steps for each in line.compensations] == ["of-parent"]
    assert [each.address for each in of_root.compensations] == ["leg/night:book-hotel", "leg:book-car"]
    await trip.signal("go")
    await harness.wait_for_ending(trip)
    assert (await operator.preview(child.id)).sentence == preview.sentence


async def test_list_starts_with_the_most_urgent_sagas(harness: WorkerHarness, operator: SagaClient) -> None:
    """Stuck sagas come first, then held and running ones; closed sagas are listed by status only."""
    running = await harness.start_trip("hotel", "wait")
    held = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(held, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    assert await operator.hold(held.id, by="mia", because="let me look") == "held"
    stuck = await stuck_trip(harness)
    ended = await harness.start_trip("look")
    await harness.wait_for_ending(ended)
    here = f"TaskQueue = '{harness.task_queue}'"

    async def listed(status: str | None = None, limit: int = 100) -> list[tuple[str, str]]:
        found = await operator.list(status=status, query=here, limit=limit)
        return [(saga.id, saga.status) for saga in found]

    in_order = [(stuck.id, "stuck"), (held.id, "held"), (running.id, "running")]

    async def is_up_to_date() -> bool:
        return await listed() == in_order and await listed("completed") != []

    # The server's list lags behind by an unknown time.
    await until(is_up_to_date)
    assert await listed(limit=2) == in_order[:2]
    assert await listed("held") == [(held.id, "held")]
    assert set(await listed("completed")) == {(ended.id, "completed"), (f"{stuck.id}/leg", "completed")}
    with pytest.raises(ValueError, match="status 'sleepy' does not exist"):
        await listed("sleepy")


async def test_refused_verb_has_a_reason(harness: WorkerHarness, operator: SagaClient) -> None:
    """Open, closed and unknown sagas have different reasons; invalid requests are not sent."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    with pytest.raises(VerbRefusedError, match=r"'retry' was refused .*not stuck"):
        await operator.retry(trip.id, by="mia", because="x")
    with pytest.raises(VerbRefusedError, match="'book-hotel' is not stuck: nothing is"):
        await operator.skip(trip.id, "book-hotel", by="mia", because="x")
    with pytest.raises(VerbRefusedError, match="'large' is not waited for"):
        await operator.approve(trip.id, "large", by="mia", because="x", roles=frozenset({"boss"}))
    with pytest.raises(ValidationError):
        await operator.hold(trip.id, by="", because="x")
    await trip.signal("go")
    await harness.wait_for_ending(trip)
    with pytest.raises(VerbRefusedError, match=r"the saga has ended as completed$"):
        await operator.hold(trip.id, by="mia", because="x")
    for read in (operator.show, operator.preview):
        with pytest.raises(SagaNotFoundError, match="saga 'nobody' was not found"):
            await read("nobody")
    with pytest.raises(SagaNotFoundError):
        await operator.resume("nobody", by="mia", because="x")


async def test_verb_for_a_saga_with_failing_code_is_refused(harness: WorkerHarness, client: Client) -> None:
    """The reason refers to `sagas show`, instead of Temporal's message about workflow tasks."""
    trip = await harness.start_trip("hotel", "pay", "fail")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    operator, refusals = SagaClient(client, timeout=timedelta(seconds=1)), list[str]()

    async def is_refused() -> bool:
        try:
            await operator.hold(trip.id, by="mia", because="x")
        except VerbRefusedError as refused:
            refusals.append(refused.reason)
        except NoWorkerError:
            return False  # the server waits for a few more failed attempts
        return True

    await until(is_refused, within=PATIENCE)

    assert refusals == ["the workflow code fails: see `sagas show`, fix the code, and repeat the request"]
    await trip.terminate("the code will not be fixed")
    harness.workflow_ids.remove(trip.id)  # the workflow code fails in a replay as well


async def test_verb_for_a_workflow_without_an_open_saga_is_refused(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """The workflow may have no saga, or a saga that has not started or has ended."""
    plain = await harness.client.start_workflow(
        Everyday.run, 1, id=f"plain-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(plain.id)

    with pytest.raises(VerbRefusedError) as refused:
        await operator.hold(plain.id, by="mia", because="x")

    assert refused.value.reason == (
        "the workflow is not a saga, has not started its saga yet, or has finished it"
    )


@pytest.mark.parametrize("method", ["list", "show", "preview", "hold", "rescue"])
async def test_missing_namespace_is_another_error_than_a_missing_saga(
    harness: WorkerHarness, server: str, method: str
) -> None:
    """The error of a mistyped namespace must not suggest that the saga is lost."""
    del harness  # only the server of the harness is needed
    operator = SagaClient(await Client.connect(server, namespace="nope", plugins=[SagaPlugin()]))
    saga = {} if method == "list" else {"saga_id": "trip-7"}
    note = {"by": "mia", "because": "wrong address"} if method in ("hold", "rescue") else {}

    with pytest.raises(RPCError, match="Namespace nope is not found"):
        await getattr(operator, method)(**saga, **note)


async def test_paused_workflow_is_reported(harness: WorkerHarness, operator: SagaClient) -> None:
    """Temporal's pause is not a hold: no verb reaches the saga, and temporalio cannot list the workflow."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    service, workflow = harness.client.workflow_service, {"namespace": "default", "workflow_id": trip.id}
    await service.pause_workflow_execution(PauseWorkflowExecutionRequest(**workflow))

    async def waits_for_unpause() -> bool:
        waits = (await operator.show(trip.id)).waits
        return [wait.condition for wait in waits] == ["until-unpaused"]

    # A running workflow task ends first, and a long poll on a paused workflow reports no new events.
    await until(waits_for_unpause)
    with pytest.raises(VerbRefusedError, match="is paused"):
        await operator.hold(trip.id, by="mia", because="x")

    async def fails_to_list() -> bool:
        try:
            await operator.list(status="compensated", query=f"TaskQueue = '{harness.task_queue}'")
        except SagaError as error:
            return "for example a paused one" in str(error)
        return False

    await until(fails_to_list)
    await service.unpause_workflow_execution(UnpauseWorkflowExecutionRequest(**workflow))
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert (await operator.show(trip.id)).waits == ()


async def test_verb_without_a_worker_times_out(harness: WorkerHarness, client: Client) -> None:
    """Timelines and previews need no worker."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await harness.stop_workers()
    operator = SagaClient(client, timeout=timedelta(seconds=0.5))

    async with asyncio.timeout(5):
        with pytest.raises(NoWorkerError, match=r"no worker executed 'hold' .* within 0.5 s"):
            await operator.hold(trip.id, by="mia", because="x")

    assert (await operator.preview(trip.id)).compensations[0].activity == "cancel-hotel"
    await trip.terminate("x")
    await harness.start_worker()


async def test_commands_have_exit_codes_and_messages(harness: WorkerHarness, server: str) -> None:
    """0 with an answer, 1 with the reason of a refusal, 2 with a usage error."""
    trip = await stuck_trip(harness)

    shown = await sagas(server, "show", trip.id)
    assert (shown.code, shown.err) == (0, "")
    assert "STUCK" in shown.out
    as_json = await sagas(server, "show", trip.id, "--format", "json")
    assert Timeline.model_validate_json(as_json.out).status == "stuck"
    assert (await sagas(server, "show", trip.id, "--format", "mermaid")).out.startswith("flowchart TD")
    preview = await sagas(server, "preview", trip.id, "--json")
    assert [each["address"] for each in json.loads(preview.out)["compensations"]] == ["book-flight"]

    refused = await sagas(server, "resume", trip.id, "--because", "x")
    assert (refused.code, refused.out) == (1, "")
    reason = "the saga is not held: there is nothing to resume"
    assert refused.err == f"error: 'resume' was refused for saga '{trip.id}': {reason}\n"
    incomplete = await sagas(server, "retry", trip.id)
    assert incomplete.code == 2
    assert "--because" in incomplete.err
    assert (await sagas(server, "retry", trip.id, "--because", "")).code == 2

    retried = await sagas(server, "retry", trip.id, "--because", "the airline is open again")
    assert (retried.code, retried.out) == (0, f"{trip.id} is stuck, and retries now\n")
    await harness.wait_for_ending(trip)
    assert "retry by mia: the airline is open again" in (await sagas(server, "show", trip.id)).out
    listed = await sagas(
        server, "list", "--status", "stuck", "--query", f"WorkflowId = '{trip.id}'", "--json"
    )
    assert (listed.code, json.loads(listed.out)) == (0, [])


async def test_rescue_command_starts_a_rescue_once(harness: WorkerHarness, server: str) -> None:
    """A repeated rescue reports the first one."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    refused = await sagas(server, "rescue", trip.id, "--because", "x")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "still running" in refused.err
    await trip.terminate("x")

    first = await sagas(server, "rescue", trip.id, "--by", "noa", "--because", "terminated by mistake")
    await harness.wait_for_ending(harness.client.get_workflow_handle(f"{trip.id}~rescue"))
    second = await sagas(server, "rescue", trip.id, "--because", "once more")

    assert (first.code, first.out) == (0, f"{trip.id}: {trip.id}~rescue compensates book-hotel\n")
    assert second.out == f"{trip.id}: already rescued, {trip.id}~rescue compensates book-hotel\n"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]
    assert "rescue by noa: terminated by mistake" in (await sagas(server, "show", trip.id)).out


async def test_invalid_arguments_are_reported_by_the_names_of_the_options(
    harness: WorkerHarness, server: str
) -> None:
    """The message names `--result` or `--because`, and no internal type."""
    harness.participants.when("book-hotel", rejects())
    trip = await harness.start_trip("pay", "hotel")
    await harness.wait_for_status(trip, "stuck")

    completed = await sagas(server, "complete", trip.id, "book-hotel", "--because", "x")
    unfit = await sagas(server, "complete", trip.id, "book-hotel", "--because", "x", "--result", "7")
    empty = await sagas(server, "retry", trip.id, "--because", "", "--by", "")
    endless = await sagas(server, "retry", trip.id, "--because", "x" * 2_001)

    refusal = f"error: 'complete' was refused for saga '{trip.id}': "
    assert completed.err == f"{refusal}'book-hotel' has a result: give it (--result)\n"
    assert unfit.err.startswith(f"{refusal}the result of 'book-hotel' does not fit: ")
    assert [each.code for each in (completed, unfit, empty, endless)] == [1, 1, 2, 2]
    assert empty.err == "error: --by: must not be empty; --because: must not be empty\n"
    assert endless.err == "error: --because: must not be longer than 2000 characters\n"
    await harness.retry_stuck(trip)
    await harness.wait_for_ending(trip)


async def test_mistyped_arguments_are_reported_where_they_were_typed(
    harness: WorkerHarness, server: str
) -> None:
    """The message quotes the query, the environment variable, or the contradicting options."""
    del harness  # only the server of the harness is needed

    query = await sagas(server, "list", "--query", "nonsense = =")
    namespace = await sagas(server, "list", TEMPORAL_NAMESPACE="nope")
    both = await sagas(server, "show", "trip-7", "--json", "--format", "mermaid")

    assert query.code == 2
    assert re.search(r"syntax error at position \d+, in \"\(nonsense = =\) AND \(.*\)\"", query.err)
    assert query.err.endswith(", which contains your query 'nonsense = ='\n")
    advice = "set TEMPORAL_NAMESPACE, or the namespace of your Temporal profile, to an existing namespace"
    assert (namespace.code, namespace.err) == (1, f"error: Namespace nope is not found; {advice}\n")
    assert (both.code, both.out) == (2, "")
    assert "--json: conflicts with --format mermaid" in both.err


async def test_missing_rescue_is_not_mistaken_for_its_saga(
    harness: WorkerHarness, operator: SagaClient, server: str
) -> None:
    """A verb for a missing rescue must not look executed, nor the rescue look ended."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")

    for request in (
        operator.show(f"{trip.id}~rescue"),
        operator.preview(f"{trip.id}~rescue-2"),
        operator.skip(f"{trip.id}~rescue", "book-hotel", by="mia", because="x"),
        operator.rescue(f"{trip.id}~rescue", by="mia", because="x"),
    ):
        with pytest.raises(SagaNotFoundError, match=f"rescue .* of saga '{trip.id}' was not found"):
            await request

    shown = await sagas(server, "show", f"{trip.id}~rescue")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith(
        f"error: rescue '{trip.id}~rescue' of saga '{trip.id}' was not found; check the id"
    )


async def test_every_verb_is_a_command(harness: WorkerHarness, server: str) -> None:
    """An executed verb ends with exit code 0, a refused one with 1 and a reason."""
    because = ("--because", "x")

    async def refused(*arguments: str) -> str:
        ended = await sagas(server, *arguments, *because)
        assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
        return ended.err

    async def done(*arguments: str) -> str:
        ended = await sagas(server, *arguments, *because)
        assert (ended.code, ended.err) == (0, "")
        return ended.out

    hotel = harness.participants.block("book-hotel")
    trip = await harness.start_trip("hotel", "boss", "flight", "wait")
    await hotel.entered.wait()
    assert await done("hold", trip.id) == f"{trip.id} is held\n"
    hotel.released.set()
    assert "only one that is running can be held" in await refused("hold", trip.id)
    assert await done("resume", trip.id) == f"{trip.id} is running\n"
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_STARTED)
    assert "takes the role 'boss'" in await refused("approve", trip.id, "big-trip")
    approved = await done("approve", trip.id, "big-trip", "--role", "boss")
    assert approved == f"{trip.id} is running, and counts big-trip as approved\n"
    booked = await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=booked.event_id)
    assert "nothing is" in await refused("skip", trip.id, "book-hotel")
    assert "nothing is" in await refused("complete", trip.id, "book-hotel")
    harness.participants.when("cancel-flight", rejects("too_late"))
    harness.participants.when("cancel-hotel", rejects("too_late"))
    assert await done("compensate", trip.id) == f"{trip.id} is compensating\n"
    # A compensation that is being attempted cannot be skipped.
    failed = await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=2)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=failed.event_id)
    assert "compensating already" in await refused("compensate", trip.id)
    skipped = await done("skip", trip.id, "book-flight")
    assert skipped == f"{trip.id} is stuck, and skips book-flight\n"
    await done("complete", trip.id, "book-hotel")

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert "the saga has ended as settled\n" in await refused("hold", trip.id)
