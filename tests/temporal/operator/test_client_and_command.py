"""What operators see of sagas and do to them, from Python and from the command line."""

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

from sagas import (
    NoWorkerError,
    SagaClient,
    SagaError,
    SagaNotFoundError,
    SagaPlugin,
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
    """Who steps in."""
    return SagaClient(client, patience=PATIENCE)


async def stuck_trip(harness: WorkerHarness) -> Handle:
    """A saga whose second compensation was refused for good."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", TripPlan(do=("car",)), "look", "fail")
    await harness.wait_for_status(trip, "stuck")
    return trip


async def test_story_of_a_stuck_saga(harness: WorkerHarness, operator: SagaClient) -> None:
    """Which steps, how they ended, what has been made up for, and what is in the way."""
    trip = await stuck_trip(harness)

    story = await operator.show(trip.id)

    assert (story.status, story.way, story.closed) == ("stuck", "back", None)
    told = [(s.address, s.purpose, s.outcome, [c.state for c in s.compensations]) for s in story.steps]
    assert told == [
        ("book-hotel", "step", "done", ["done"]),
        ("book-flight", "step", "done", ["failing"]),
        ("leg", "child", "done", ["done"]),
        ("look-around", "step", "done", []),
    ]
    assert story.steps[1].compensations[0].reason == "too_late, sorry"
    child = story.steps[2].child
    assert child is not None
    assert [(s.address, [c.state for c in s.compensations]) for s in child.steps] == [("book-car", ["done"])]


async def test_story_names_who_stepped_in(harness: WorkerHarness, operator: SagaClient) -> None:
    """With the reason, after the saga has ended too; as text, as JSON and as a chart."""
    trip = await stuck_trip(harness)
    assert await operator.skip(trip.id, "book-flight", by="mia", because="a credit note was sent") == "stuck"
    assert (await harness.wait_for_ending(trip)).saga == "settled"

    story = await operator.show(trip.id)

    assert story.status == "settled"
    assert [(v.verb, v.about, v.by, v.because) for v in story.verbs] == [
        ("saga-skip", "book-flight", "mia", "a credit note was sent")
    ]
    assert story.steps[1].compensations[0].state == "skipped"
    assert Timeline.model_validate_json(story.model_dump_json()) == story
    text = render_timeline(story)
    assert "skip book-flight by mia: a credit note was sent" in text
    assert max(map(len, text.splitlines())) <= 100
    assert render_mermaid(story).startswith("flowchart TD\n")


async def test_story_tells_what_was_done_by_hand_from_what_was_skipped(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """And what was done by hand after the pivot does not stand there with an error that is over."""
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
    await operator.skip(back.id, "pay", by="mia", because="they know nothing of it")
    failed = await harness.wait_for_event(back, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=3)
    await harness.wait_for_event(back, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=failed.event_id)
    await operator.skip(back.id, "book-hotel", by="mia", because="x")
    await operator.complete(back.id, "book-flight", by="mia", because="x")
    await harness.wait_for_ending(back)

    ticket = (await operator.show(forth.id)).steps[-1]
    story = await operator.show(back.id)

    assert (ticket.outcome, ticket.by_hand, ticket.reason) == ("done", "completed by hand", "")
    assert (story.steps[-1].outcome, story.steps[-1].by_hand) == ("rejected", "skipped")
    states = {line.address: [each.state for each in line.compensations] for line in story.steps}
    assert states == {"book-hotel": ["skipped"], "book-flight": ["by hand"], "pay": []}
    text = re.sub(" +", " ", render_timeline(await operator.show(forth.id)))
    assert " send-ticket (retriable) done by hand 1 " in text
    assert "the connection was lost" not in text
    assert " pay (pivot) skipped 1 " in re.sub(" +", " ", render_timeline(story))


async def test_story_says_what_a_saga_waits_for(harness: WorkerHarness, operator: SagaClient) -> None:
    """A decision, an event, or its next attempt; and until when."""
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

    assert [wait.what for wait in decision.waits] == ["until big-trip is approved"]
    assert [wait.what for wait in event.waits] == ["until visa"]
    assert [wait.what for wait in attempt.waits] == ["until the next attempt"]
    (next_attempt,), since = attempt.waits, attempt.since
    assert since is not None
    assert next_attempt.until is not None
    # Both are commands of one workflow task, which the server carries out at once.
    assert timedelta(seconds=4.9) < next_attempt.until - since < timedelta(seconds=5.1)
    assert f"waits: until the next attempt (at the latest {next_attempt.until:%Y-%m-%d %H:%M:%S} UTC)" in (
        render_timeline(attempt)
    )
    assert "approve big-trip (yes) by mia: x" in render_timeline(attempt)
    assert "saga-approve" not in await harness.current_details(trip)
    assert "approve big-trip (yes) by mia: x" in await harness.current_details(trip)
    await operator.complete(trip.id, "book-flight", by="mia", because="x")
    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert (await operator.show(trip.id)).waits == ()


async def test_story_tells_of_a_deadline_only_while_it_matters(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Not past the pivot, nor on the way back: what is waited for there is a person, or the next attempt."""

    async def waits(trip: Handle) -> list[str]:
        return [wait.what for wait in (await operator.show(trip.id)).waits]

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
    on_the_way_back = await waits(back)
    await harness.retry_stuck(forth)
    await harness.retry_stuck(back)
    await harness.wait_for_ending(forth)
    await harness.wait_for_ending(back)

    assert before == ["the saga's deadline"]
    assert after == ["until the next attempt"]
    assert on_the_way_back == ["for a person"]


async def test_story_of_a_parent_names_the_child_that_is_stuck(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """It is the child that has to be asked for something, by its own id."""
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


async def test_story_says_that_the_code_fails(harness: WorkerHarness, operator: SagaClient) -> None:
    """It looks healthy otherwise; nobody but a programmer can help, and a rescue would not."""
    trip = await harness.start_trip("hotel", "pay", "pay")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    story = await operator.show(trip.id)

    assert story.fault is not None
    assert story.fault.reason.endswith(": 'pay' is a second pivot; a saga has one")
    since = f"{story.fault.since:%Y-%m-%d %H:%M:%S} UTC"
    told = f"its code fails: {story.fault.reason} (since {since}): mend it, its workers try it again"
    assert told in " ".join(render_timeline(story).split())
    with pytest.raises(
        VerbRefusedError, match=r"its code fails \(.* 'pay' is .*\): mend it, .* or terminate it"
    ):
        await operator.rescue(trip.id, by="mia", because="x")
    await trip.terminate("the code is not going to be mended")
    harness.workflow_ids.remove(trip.id)  # what failed its tasks fails in replay
    assert (await operator.show(trip.id)).fault is None


async def test_story_of_a_parent_names_the_child_whose_code_fails(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Its parent waits for it, and cannot know."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "fail-after-block")))
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    text = render_timeline(await operator.show(trip.id))

    assert f"\n      {child.id}: its code fails: " in text
    await child.terminate("the code is not going to be mended")
    await trip.terminate("the code is not going to be mended")
    harness.workflow_ids.remove(trip.id)  # what failed its tasks fails in replay


async def test_a_failure_is_told_while_it_is_tried_again(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Who looks in the middle of an attempt learns why there is one, and how many there have been."""
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


async def test_preview_says_what_would_be_made_up_for_and_what_stays(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """In the order in which it would run; nothing once the pivot is done."""
    trip = await harness.start_trip(
        "hotel", TripPlan(do=("car", "look")), "hotel|flight", "wait", "pay", "wait-ignoring-cancel"
    )
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=3)

    before = await operator.preview(trip.id)
    await trip.signal("go")
    await harness.wait_for_ending(trip)
    after = await operator.preview(trip.id)

    addresses = [each.address for each in before.compensations]
    assert sorted(addresses[:2]) == ["book-flight", "book-hotel#2"]
    assert addresses[2:] == ["leg:book-car", "book-hotel"]
    assert [stay.address for stay in before.stays] == ["leg:look-around"]
    assert after.compensations == ()
    assert {s.address for s in after.stays} == {*addresses, "leg:look-around", "pay"}
    assert after.sentence == "nothing would be compensated: it has completed"


async def test_preview_and_the_compensations_that_then_run_are_the_same(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """A preview that were wrong would be worse than none."""
    trip = await harness.start_trip("hotel", TripPlan(do=("car", "flight")), "hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    preview = await operator.preview(trip.id)

    await operator.compensate(trip.id, by="mia", because="the customer called")
    await harness.wait_for_ending(trip)

    assert harness.participants.started[4:] == [each.activity for each in preview.compensations]
    assert (await operator.preview(trip.id)).sentence == "nothing is owed"


async def test_preview_tells_what_an_open_child_makes_up_for(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """It does so before its parent, so nothing of that stays, and nothing comes on top."""
    night = TripPlan(do=("hotel", "wait"), name="night")
    trip = await harness.start_trip("hotel", TripPlan(do=("car", "look", night)))
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
    assert [stay.address for stay in preview.stays] == ["leg:look-around"]
    assert preview.unknown == ()
    assert harness.participants.started[4:] == [each.activity for each in preview.compensations]


async def test_preview_tells_what_open_children_make_up_for_at_the_same_time(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Each is a lane."""
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

    assert [(each.address, each.lane) for each in preview.compensations] == [
        ("a:book-hotel", "1"),
        ("b:book-flight", "2"),
        ("book-car", ""),
    ]
    assert (preview.stays, preview.unknown) == ((), ())


async def test_what_a_child_that_has_completed_did_is_its_parents(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Its own history cannot tell whether that is made up for; whose can, it says."""
    night = TripPlan(do=("hotel", "look"), name="night")
    trip = await harness.start_trip(TripPlan(do=("car", night)), "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    child = harness.child_of(harness.child_of(trip, "leg"), "night")

    preview, story = await operator.preview(child.id), await operator.show(child.id)
    whole = await operator.preview(trip.id)

    assert preview.root == trip.id
    assert preview.sentence == (
        f"what it did is its parent's to make up for: ask for the preview of {trip.id!r}"
    )
    assert preview.compensations == ()
    assert [stay.address for stay in preview.stays] == ["look-around"]
    assert [state for line in story.steps for state in [c.state for c in line.compensations]] == [
        "its parent's"
    ]
    assert [each.address for each in whole.compensations] == ["leg/night:book-hotel", "leg:book-car"]
    await trip.signal("go")
    await harness.wait_for_ending(trip)
    assert (await operator.preview(child.id)).sentence == preview.sentence


async def test_sagas_that_need_a_person_are_listed_first(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Stuck, held, and then those that run; those that have ended only when they are asked for."""
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

    everything = [(stuck.id, "stuck"), (held.id, "held"), (running.id, "running")]

    async def is_up_to_date() -> bool:
        return await listed() == everything and await listed("completed") != []

    # The server's list follows a moment later, and nobody is told when.
    await until(is_up_to_date)
    assert await listed(limit=2) == everything[:2]
    assert await listed("held") == [(held.id, "held")]
    assert set(await listed("completed")) == {(ended.id, "completed"), (f"{stuck.id}/leg", "completed")}
    with pytest.raises(ValueError, match="no status 'sleepy'"):
        await listed("sleepy")


async def test_verb_that_is_refused_says_why(harness: WorkerHarness, operator: SagaClient) -> None:
    """A sentence, whether the saga refuses, has ended, or never was; and bad notes are not even sent."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    with pytest.raises(VerbRefusedError, match=r"refuses to retry: .*not stuck"):
        await operator.retry(trip.id, by="mia", because="x")
    with pytest.raises(VerbRefusedError, match="'book-hotel' is not stuck: nothing is"):
        await operator.skip(trip.id, "book-hotel", by="mia", because="x")
    with pytest.raises(VerbRefusedError, match="'large' is not waited for"):
        await operator.approve(trip.id, "large", by="mia", because="x", roles=frozenset({"boss"}))
    with pytest.raises(ValidationError):
        await operator.hold(trip.id, by="", because="x")
    await trip.signal("go")
    await harness.wait_for_ending(trip)
    with pytest.raises(VerbRefusedError, match="it has ended, and is completed"):
        await operator.hold(trip.id, by="mia", because="x")
    for ask in (operator.show, operator.preview):
        with pytest.raises(SagaNotFoundError, match="no saga 'nobody'"):
            await ask("nobody")
    with pytest.raises(SagaNotFoundError):
        await operator.resume("nobody", by="mia", because="x")


async def test_saga_whose_code_fails_says_so(harness: WorkerHarness, client: Client) -> None:
    """What Temporal says of its workflow task is nothing to somebody who only wants it held."""
    trip = await harness.start_trip("hotel", "pay", "fail")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    operator, refusals = SagaClient(client, patience=1), list[str]()

    async def is_refused() -> bool:
        try:
            await operator.hold(trip.id, by="mia", because="x")
        except VerbRefusedError as refused:
            refusals.append(refused.reason)
        except NoWorkerError:
            return False  # the server waits for a few more attempts
        return True

    await until(is_refused, within=PATIENCE)

    assert refusals == ["its code fails, so it takes no verb: 'sagas show' says why; mend it, and ask again"]
    await trip.terminate("the code is not going to be mended")
    harness.workflow_ids.remove(trip.id)  # what failed its tasks fails in replay


async def test_verb_for_a_workflow_without_an_open_saga_says_so(
    harness: WorkerHarness, operator: SagaClient
) -> None:
    """Whether it is none at all, or has not come to its block."""
    plain = await harness.client.start_workflow(
        Everyday.run, 1, id=f"plain-{harness.task_queue}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(plain.id)

    with pytest.raises(VerbRefusedError) as refused:
        await operator.hold(plain.id, by="mia", because="x")

    assert refused.value.reason == (
        "it has no saga open: it is none, or has not come to its block yet, or is over"
    )


@pytest.mark.parametrize("ask", ["list", "show", "preview", "hold", "rescue"])
async def test_a_namespace_that_is_not_there_is_told_apart_from_a_saga(
    harness: WorkerHarness, server: str, ask: str
) -> None:
    """Whoever mistypes it must not believe that the saga is gone."""
    del harness  # its worker does not matter
    operator = SagaClient(await Client.connect(server, namespace="nope", plugins=[SagaPlugin()]))
    saga = {} if ask == "list" else {"saga_id": "trip-7"}
    note = {"by": "mia", "because": "it is wrong"} if ask in ("hold", "rescue") else {}

    with pytest.raises(RPCError, match="Namespace nope is not found"):
        await getattr(operator, ask)(**saga, **note)


async def test_saga_whose_workflow_is_paused_says_so(harness: WorkerHarness, operator: SagaClient) -> None:
    """Temporal's pause is not ours: no verb reaches the saga, and temporalio cannot list it."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    service, who = harness.client.workflow_service, {"namespace": "default", "workflow_id": trip.id}
    await service.pause_workflow_execution(PauseWorkflowExecutionRequest(**who))

    async def says_so() -> bool:
        waits = (await operator.show(trip.id)).waits
        return [wait.what for wait in waits] == ["until its workflow is unpaused in Temporal"]

    # A workflow task that is under way ends first, and a paused workflow tells nobody of new events.
    await until(says_so)
    with pytest.raises(VerbRefusedError, match="is paused"):
        await operator.hold(trip.id, by="mia", because="x")

    async def is_in_the_way() -> bool:
        try:
            await operator.list(status="compensated", query=f"TaskQueue = '{harness.task_queue}'")
        except SagaError as error:
            return "such as one that is paused" in str(error)
        return False

    await until(is_in_the_way)
    await service.unpause_workflow_execution(UnpauseWorkflowExecutionRequest(**who))
    await trip.signal("go")
    assert (await harness.wait_for_ending(trip)).closed == "COMPLETED"
    assert (await operator.show(trip.id)).waits == ()


async def test_verb_without_a_worker_ends_with_a_sentence(harness: WorkerHarness, client: Client) -> None:
    """It does not wait for ever; what is only seen is seen without a worker."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await harness.stop_workers()
    operator = SagaClient(client, patience=0.5)

    async with asyncio.timeout(5):
        with pytest.raises(NoWorkerError, match=r"no worker has answered .* within 0.5 s"):
            await operator.hold(trip.id, by="mia", because="x")

    assert (await operator.preview(trip.id)).compensations[0].activity == "cancel-hotel"
    await trip.terminate("x")
    await harness.start_worker()


async def test_operators_commands(harness: WorkerHarness, server: str) -> None:
    """Each as a process: 0 and an answer, 1 and a sentence, 2 and how it is used."""
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
    sentence = "the saga is not held: there is nothing to resume"
    assert refused.err == f"error: saga '{trip.id}' refuses to resume: {sentence}\n"
    unused = await sagas(server, "retry", trip.id)
    assert unused.code == 2
    assert "--because" in unused.err
    assert (await sagas(server, "retry", trip.id, "--because", "")).code == 2

    retried = await sagas(server, "retry", trip.id, "--because", "they are open again")
    assert (retried.code, retried.out) == (0, f"{trip.id} is stuck, and retries now\n")
    await harness.wait_for_ending(trip)
    assert "retry by mia: they are open again" in (await sagas(server, "show", trip.id)).out
    listed = await sagas(
        server, "list", "--status", "stuck", "--query", f"WorkflowId = '{trip.id}'", "--json"
    )
    assert (listed.code, json.loads(listed.out)) == (0, [])


async def test_command_that_rescues(harness: WorkerHarness, server: str) -> None:
    """It says what it does, and the second time that it was done."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    refused = await sagas(server, "rescue", trip.id, "--because", "x")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "still running" in refused.err
    await trip.terminate("x")

    first = await sagas(server, "rescue", trip.id, "--by", "noa", "--because", "it was a mistake")
    await harness.wait_for_ending(harness.client.get_workflow_handle(f"{trip.id}~rescue"))
    second = await sagas(server, "rescue", trip.id, "--because", "really?")

    assert (first.code, first.out) == (0, f"{trip.id}: {trip.id}~rescue makes up for book-hotel\n")
    assert second.out == f"{trip.id}: was rescued before: {trip.id}~rescue makes up for book-hotel\n"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]
    assert "rescue by noa: it was a mistake" in (await sagas(server, "show", trip.id)).out


async def test_what_an_operator_has_left_out_is_told_in_terms_of_the_command(
    harness: WorkerHarness, server: str
) -> None:
    """Not in terms of the type that a result or a reason has inside."""
    harness.participants.when("book-hotel", rejects())
    trip = await harness.start_trip("pay", "hotel")
    await harness.wait_for_status(trip, "stuck")

    completed = await sagas(server, "complete", trip.id, "book-hotel", "--because", "x")
    unfit = await sagas(server, "complete", trip.id, "book-hotel", "--because", "x", "--result", "7")
    empty = await sagas(server, "retry", trip.id, "--because", "", "--by", "")
    endless = await sagas(server, "retry", trip.id, "--because", "x" * 2_001)

    refuses_to = f"error: saga '{trip.id}' refuses to complete: "
    assert completed.err == f"{refuses_to}'book-hotel' has a result: give it (--result)\n"
    assert unfit.err.startswith(f"{refuses_to}the result of 'book-hotel' does not fit: ")
    assert [each.code for each in (completed, unfit, empty, endless)] == [1, 1, 2, 2]
    assert empty.err == "error: --by: must not be empty; --because: must not be empty\n"
    assert endless.err == "error: --because: must not be longer than 2000 characters\n"
    await harness.retry_stuck(trip)
    await harness.wait_for_ending(trip)


async def test_what_an_operator_has_mistyped_is_told_where_it_was_typed(
    harness: WorkerHarness, server: str
) -> None:
    """In the query, of which it is a part; in the environment; in two options that contradict each other."""
    del harness  # its worker does not matter

    query = await sagas(server, "list", "--query", "nonsense = =")
    namespace = await sagas(server, "list", TEMPORAL_NAMESPACE="nope")
    both = await sagas(server, "show", "trip-7", "--json", "--format", "mermaid")

    assert query.code == 2
    assert re.search(r"syntax error at position \d+, in \"\(nonsense = =\) AND \(.*\)\"", query.err)
    assert query.err.endswith(", of which 'nonsense = =' is yours\n")
    advice = "set TEMPORAL_NAMESPACE, or the namespace of your Temporal profile, to an existing namespace"
    assert (namespace.code, namespace.err) == (1, f"error: Namespace nope is not found; {advice}\n")
    assert (both.code, both.out) == (2, "")
    assert "conflicts with --format mermaid" in both.err


async def test_id_of_a_rescue_that_is_not_there_is_not_taken_for_its_saga(
    harness: WorkerHarness, operator: SagaClient, server: str
) -> None:
    """Whoever steps in at a rescue must not believe that it was done, or that it is over."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await trip.terminate("x")

    for ask in (
        operator.show(f"{trip.id}~rescue"),
        operator.preview(f"{trip.id}~rescue-2"),
        operator.skip(f"{trip.id}~rescue", "book-hotel", by="mia", because="x"),
        operator.rescue(f"{trip.id}~rescue", by="mia", because="x"),
    ):
        with pytest.raises(SagaNotFoundError, match=f"there is no such rescue of '{trip.id}'"):
            await ask

    shown = await sagas(server, "show", f"{trip.id}~rescue")
    sentence = f"there is no such rescue of '{trip.id}', or the server no longer keeps it"
    assert (shown.code, shown.out, shown.err) == (1, "", f"error: {sentence}\n")


async def test_every_verb_as_a_command(harness: WorkerHarness, server: str) -> None:
    """Carried out with exit code 0, refused with 1 and a sentence."""
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
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    assert "nothing is" in await refused("skip", trip.id, "book-hotel")
    assert "nothing is" in await refused("complete", trip.id, "book-hotel")
    harness.participants.when("cancel-flight", rejects("too_late"))
    harness.participants.when("cancel-hotel", rejects("too_late"))
    assert (
        await done("compensate", trip.id)
        == f"{trip.id} is running, and starts compensating, unless its pivot is done\n"
    )
    # While the other one is tried, nobody's word on it is taken.
    failed = await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED, nth=2)
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, after=failed.event_id)
    assert "compensating already" in await refused("compensate", trip.id)
    skipped = await done("skip", trip.id, "book-flight")
    assert skipped == f"{trip.id} is stuck, and skips book-flight\n"
    await done("complete", trip.id, "book-hotel")

    assert (await harness.wait_for_ending(trip)).saga == "settled"
    assert "it has ended, and is settled\n" in await refused("hold", trip.id)
