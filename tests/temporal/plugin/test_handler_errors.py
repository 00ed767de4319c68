"""What a workflow's own handlers raise does not close it over the head of its saga."""

from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.exceptions import ApplicationError

from sagas.operator import HOLD, RESUME, OperatorRequest, SagaClient

from ..fixtures import handler_workflows as listeners
from ..fixtures.trip_saga import Gate, Plan, refuses
from ..fixtures.trip_worker import WORKFLOWS as USUAL
from ..fixtures.trip_worker import Ending, Handle, Stage
from .test_author_workflows import begin, task_failure

WORKFLOWS = [*USUAL, *listeners.LISTENERS]
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
CANCEL_INITIATED = EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED
SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED
MIA = OperatorRequest(by="mia", because="a call from the customer")


async def with_child(stage: Stage, kind: str) -> tuple[Handle, Handle]:
    """A parent, and its child of this kind, which has done its step and waits."""
    trip = await begin(stage, listeners.Parent, kind)
    child = stage.child_of(trip, "leg")
    await stage.event(trip, CHILD_STARTED)
    await stage.event(child, COMPLETED)
    await stage.event(child, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)
    return trip, child


async def with_a_step_under_way(stage: Stage, kind: type[Any], *do: str) -> tuple[Handle, Gate]:
    """A saga that has done its own step, and a gate that holds the step of its handler."""
    hotel, flight = stage.agency.hold("book-hotel"), stage.agency.hold("book-flight")
    trip = await begin(stage, kind, *do)
    await hotel.entered.wait()
    await trip.signal("do", "flight")
    await flight.entered.wait()
    hotel.opened.set()
    done = await stage.event(trip, COMPLETED)
    await stage.event(trip, TASK_COMPLETED, after=done.event_id)
    return trip, flight


@pytest.mark.parametrize(("signal", "code"), [("fail", "ApplicationError"), ("misread", "ValidationError")])
async def test_a_signal_that_fails_has_its_saga_compensate(stage: Stage, signal: str, code: str) -> None:
    """P4: as if the block had raised it."""
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)

    await trip.signal(signal)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", code)
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_a_step_that_is_refused_in_a_signal_has_its_saga_compensate(stage: Stage) -> None:
    """With the code of the refusal; nobody else would hear of it."""
    stage.agency.when("book-car", refuses())
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)

    await trip.signal("do", "car")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert stage.agency.story == ["book-hotel", "book-car", "cancel-hotel"]


async def test_a_cancel_during_the_step_of_a_signal_compensates_it(stage: Stage) -> None:
    """P6: the handler's end is not that of the workflow."""
    car = stage.agency.hold("book-car")
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)
    await trip.signal("do", "car")
    await car.entered.wait()

    await trip.cancel()
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    car.opened.set()

    assert await stage.ending(trip) == Ending("CANCELED", "compensated")
    assert stage.agency.story[2:] == ["cancel-car", "cancel-hotel"]


@pytest.mark.parametrize("way", ["cancel", "fail"])
@pytest.mark.parametrize(
    ("begins", "is_held"), [("visit", False), ("visit", True), ("visit_beside", True)], ids=str
)
async def test_a_child_of_a_handler_is_cancelled_when_its_saga_turns_round(
    stage: Stage, begins: str, way: str, *, is_held: bool
) -> None:
    """P2: the end of its task is not that of the workflow, and where it is held, nobody would resume it."""
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)
    await trip.signal(begins, Plan(do=("flight", "wait")))
    await stage.event(trip, CHILD_STARTED)
    child = stage.child_of(trip, "leg")
    await stage.event(child, COMPLETED)
    await trip.signal("do", "car")
    await stage.event(trip, COMPLETED, nth=2)
    if is_held:
        await stage.ask(trip, HOLD, MIA)
        await stage.status(child, "held")

    await (trip.cancel() if way == "cancel" else trip.signal("fail"))

    assert (await stage.ending(trip)).saga == "compensated"
    assert await stage.ending(child) == Ending("CANCELED", "compensated")
    assert stage.agency.story[3:] == ["cancel-flight", "cancel-car", "cancel-hotel"]


async def test_a_child_of_a_handler_that_is_about_to_start_when_its_saga_turns_round_is_cancelled(
    stage: Stage,
) -> None:
    """P2: its start cannot be taken back."""
    gate = Gate()

    async def hold_and_refuse() -> object:
        await gate.hold()
        return await refuses()()

    stage.agency.when("book-hotel", hold_and_refuse)
    await stage.close()
    await stage.open(workflows=False)
    worker = await stage.open(activities=False)
    trip = await begin(stage, listeners.Listener)
    await gate.entered.wait()
    await stage.close(worker)
    await trip.signal("visit", Plan(do=("flight", "wait")))
    gate.opened.set()
    await stage.event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)

    await stage.open(activities=False)

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert (await stage.ending(stage.child_of(trip, "leg"))).closed == "CANCELED"
    assert stage.agency.story.count("book-flight") == stage.agency.story.count("cancel-flight")


async def test_a_child_of_a_handler_is_cancelled_once(stage: Stage) -> None:
    """Also where its saga was cancelled while it started: each cancel is an event of both."""
    trip = await begin(stage, listeners.Listener)
    done = await stage.event(trip, COMPLETED)
    await stage.event(trip, TASK_COMPLETED, after=done.event_id)
    await stage.close()
    await trip.signal("visit", Plan(do=("flight", "wait")))
    await trip.cancel()
    await stage.open()

    assert await stage.ending(trip) == Ending("CANCELED", "compensated")
    kinds = [event.event_type async for event in trip.fetch_history_events()]
    assert kinds.count(CANCEL_INITIATED) == 1
    assert stage.agency.story.count("book-flight") == stage.agency.story.count("cancel-flight")


@pytest.mark.parametrize("way", ["cancel", "fail"])
async def test_what_the_child_of_a_handler_owes_that_has_just_completed_is_made_up_for(
    stage: Stage, way: str
) -> None:
    """P2: by its parent, in its place, though the cancel comes with its answer."""
    await stage.close()
    near = await stage.open()
    far = f"{stage.task_queue}-far"
    await stage.open(far)
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)
    await trip.signal("visit", args=[Plan(do=("flight", "wait")), far])
    await stage.event(trip, CHILD_STARTED)
    child = stage.child_of(trip, "leg")
    await stage.event(child, COMPLETED)
    await trip.signal("do", "car")
    done = await stage.event(trip, COMPLETED, nth=2)
    await stage.event(trip, TASK_COMPLETED, after=done.event_id)
    await stage.close(near)
    await child.signal("go")
    await stage.ending(child)
    await (trip.cancel() if way == "cancel" else trip.signal("fail"))

    await stage.open()

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[3:] == ["cancel-car", "cancel-flight", "cancel-hotel"]
    assert stage.agency.keys["cancel-flight"] == stage.agency.keys["book-flight"]


async def test_a_step_that_comes_while_the_saga_compensates_is_passed_over(stage: Stage) -> None:
    """P7: whoever asks cannot know that it does, and must not wedge what it owes."""
    gate = stage.agency.hold("cancel-hotel")
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)
    await trip.signal("fail")
    await gate.entered.wait()

    await trip.signal("do", "flight")
    with pytest.raises(WorkflowUpdateFailedError):
        await trip.execute_update("add", "flight")
    gate.opened.set()

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


async def test_a_step_that_was_held_when_the_saga_turned_round_is_passed_over(stage: Stage) -> None:
    """Nor does anybody end its hold, which is over."""
    gate = stage.agency.hold("cancel-hotel")
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)
    await stage.ask(trip, HOLD, MIA)
    await trip.signal("do", "flight")
    await stage.event(trip, TIMER_STARTED)
    await trip.signal("fail")
    await gate.entered.wait()

    assert "not held" in await stage.refusal(trip, RESUME, MIA)
    gate.opened.set()

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("is_refused", [False, True])
async def test_a_step_of_a_handler_waits_for_the_pivot_that_is_under_way(
    stage: Stage, *, is_refused: bool
) -> None:
    """Then it is tried until it is done; where the pivot was refused, it is passed over."""
    gate = Gate()

    async def hold_and_refuse() -> object:
        await gate.hold()
        return await refuses()()

    stage.agency.when("pay", hold_and_refuse if is_refused else gate.hold)
    trip = await begin(stage, listeners.Listener, "pay")
    await gate.entered.wait()
    await trip.signal("do", "flight")
    signaled = await stage.event(trip, SIGNALED)
    await stage.event(trip, TASK_COMPLETED, after=signaled.event_id)
    assert stage.agency.story == ["book-hotel", "pay"]

    gate.opened.set()
    if not is_refused:
        await stage.event(trip, COMPLETED, nth=3)
        await trip.signal("go")

    assert (await stage.ending(trip)).closed == ("FAILED" if is_refused else "COMPLETED")
    assert stage.agency.story[2:] == (["cancel-hotel"] if is_refused else ["book-flight"])


async def test_a_child_of_a_handler_that_comes_after_the_pivot_is_passed_over(stage: Stage) -> None:
    """Nothing may fail there, and who sends the signal does not know where the saga is."""
    trip = await begin(stage, listeners.Listener, "pay")
    await stage.event(trip, COMPLETED, nth=2)

    await trip.signal("send")
    await trip.signal("go")

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay"]


async def test_the_pivot_waits_for_the_step_of_a_handler_that_is_under_way(stage: Stage) -> None:
    """The saga does not fail for it: nobody who sends a signal knows where it stands."""
    trip, flight = await with_a_step_under_way(stage, listeners.Listener, "pay")
    assert stage.agency.story == ["book-hotel", "book-flight"]

    flight.opened.set()
    await stage.event(trip, COMPLETED, nth=3)
    await trip.signal("go")

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story[2:] == ["pay"]


@pytest.mark.parametrize("handler", ["signal", "update"])
async def test_a_step_of_a_handler_that_waits_for_the_last_pivot_is_done(stage: Stage, handler: str) -> None:
    """Whoever was let in while the block was open does not come too late."""
    pay = stage.agency.hold("pay")
    trip = await begin(stage, listeners.LastListener)
    await pay.entered.wait()
    if handler == "signal":
        await trip.signal("do", "flight")
        signaled = await stage.event(trip, SIGNALED)
        await stage.event(trip, TASK_COMPLETED, after=signaled.event_id)
        pay.opened.set()
    else:
        added = await trip.start_update("add", "flight", wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        pay.opened.set()
        assert await added.result() == "flight"

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "pay", "book-flight"]


async def test_a_step_of_a_handler_that_was_held_at_the_end_of_the_block_is_done(stage: Stage) -> None:
    """It was told to wait, not that it is too late."""
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)
    await stage.ask(trip, HOLD, MIA)
    await trip.signal("go")
    await trip.signal("do", "flight")
    signaled = await stage.event(trip, SIGNALED, nth=2)
    await stage.event(trip, TASK_COMPLETED, after=signaled.event_id)
    await stage.ask(trip, RESUME, MIA)

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel", "book-flight"]


async def test_a_saga_continues_as_new_after_a_step_of_a_handler_that_was_held_with_it(stage: Stage) -> None:
    """Both may go on at the same moment, and what is asked for is not lost."""
    hotel = stage.agency.hold("book-hotel")
    trip = await begin(stage, listeners.EarlyListener)
    await hotel.entered.wait()
    await stage.ask(trip, HOLD, MIA)
    hotel.opened.set()
    done = await stage.event(trip, COMPLETED)
    await stage.event(trip, TASK_COMPLETED, after=done.event_id)
    await trip.signal("do", "flight")
    signaled = await stage.event(trip, SIGNALED)
    await stage.event(trip, TASK_COMPLETED, after=signaled.event_id)
    await stage.ask(trip, RESUME, MIA)

    trip = await stage.next_run(trip)
    await trip.signal("fail")
    await trip.signal("go")

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story == ["book-hotel", "book-flight", "cancel-flight", "cancel-hotel"]


@pytest.mark.parametrize("then", ["pivot", "again"])
async def test_the_pivot_and_a_new_run_wait_for_the_branches_of_a_handler(stage: Stage, then: str) -> None:
    """As they do for its steps."""
    hotel, flight = stage.agency.hold("book-hotel"), stage.agency.hold("book-flight")
    trip = await begin(stage, listeners.LastListener if then == "pivot" else listeners.EarlyListener)
    await hotel.entered.wait()
    await trip.signal("both")
    await flight.entered.wait()
    hotel.opened.set()
    done = await stage.event(trip, COMPLETED, nth=2)
    await stage.event(trip, TASK_COMPLETED, after=done.event_id)
    assert "pay" not in stage.agency.story

    flight.opened.set()
    if then == "again":
        trip = await stage.next_run(trip)
        await trip.signal("go")

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert sorted(stage.agency.story[1:3]) == ["book-car", "book-flight"]


async def test_a_saga_with_branches_continues_as_new_for_a_signal(stage: Stage) -> None:
    """After the steps that are under way, and its next run owes them."""
    hotel = stage.agency.hold("book-hotel")
    trip = await begin(stage, listeners.SideListener)
    await hotel.entered.wait()
    await trip.signal("again")
    signaled = await stage.event(trip, SIGNALED)
    await stage.event(trip, TASK_COMPLETED, after=signaled.event_id)

    hotel.opened.set()
    trip = await stage.next_run(trip)
    await trip.signal("fail")

    assert (await stage.ending(trip)).saga == "compensated"
    assert sorted(stage.agency.story[2:]) == ["cancel-flight", "cancel-hotel"]


async def test_a_saga_does_not_continue_as_new_for_an_update(stage: Stage) -> None:
    """Temporal would try the workflow's task again without end; who has asked is told, and it goes on."""
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await trip.execute_update("again_at_once")
    assert "in the handler of an update" in str(failed.value.cause)
    await trip.signal("go")

    assert (await stage.ending(trip)).closed == "COMPLETED"


async def test_a_saga_continues_as_new_after_the_step_of_a_handler_that_is_under_way(stage: Stage) -> None:
    """It does not fail for it either, and its next run owes it."""
    trip, flight = await with_a_step_under_way(stage, listeners.EarlyListener)

    flight.opened.set()
    trip = await stage.next_run(trip)
    await trip.signal("fail")
    await stage.event(trip, SIGNALED)
    await trip.signal("go")

    assert (await stage.ending(trip)).saga == "compensated"
    assert stage.agency.story[2:] == ["cancel-flight", "cancel-hotel"]


@pytest.mark.parametrize(
    ("signal", "content"),
    [("do", []), ("do", ["car", "car"]), ("plan", [])],
)
async def test_a_signal_that_its_handler_does_not_take_is_passed_over(
    stage: Stage, signal: str, content: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    """P19: Temporal would try the workflow's task again without end, and it would never compensate."""
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)

    await trip.signal(signal, args=content)
    await trip.signal("plan", Plan(do=("go",)))

    assert (await stage.ending(trip)).closed == "COMPLETED"
    assert stage.agency.story == ["book-hotel"]
    assert any(f"signal {signal!r} was passed over: " in line for line in caplog.messages)


@pytest.mark.parametrize(
    ("listener", "signal", "content"),
    [
        (listeners.Listener, "hint", [Plan(do=())]),
        (listeners.Listener, "adorned", [Plan(do=())]),
        (listeners.Listener, "plan", [None]),
        (listeners.OtherListener, "do", ["car", "car"]),
    ],
    ids=["default", "decorator", "null", "set"],
)
async def test_a_signal_that_plain_temporal_takes_is_taken(
    stage: Stage, listener: type[Any], signal: str, content: list[object]
) -> None:
    """Histories from before the plugin are replayed as ever."""
    trip = await begin(stage, listener)
    await stage.event(trip, COMPLETED)

    await trip.signal(signal, args=content)

    assert (await stage.ending(trip)).closed == "COMPLETED"


@pytest.mark.parametrize(("update", "content"), [("add", []), ("add", ["car", "car"]), ("has", [])])
async def test_an_update_that_its_handler_does_not_take_is_refused(
    stage: Stage, update: str, content: list[object]
) -> None:
    """P19: to who has asked, in a sentence; the saga goes on."""
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await trip.execute_update(update, args=content)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "SagaRefused"
    assert failed.value.cause.message.startswith(f"update {update!r} is refused: ")
    await trip.signal("go")

    assert (await stage.ending(trip)).closed == "COMPLETED"


async def test_a_child_whose_signal_fails_has_compensated_before_its_parent_hears(stage: Stage) -> None:
    """P2: so its parent owes nothing for it."""
    trip, child = await with_child(stage, "listener")

    await child.signal("fail")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert stage.agency.story[2:] == ["cancel-hotel", "cancel-flight"]


async def test_a_signal_that_fails_after_the_pivot_changes_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """P6: as a cancel would; whoever reads the log knows."""
    trip = await begin(stage, listeners.Listener, "pay")
    await stage.event(trip, COMPLETED, nth=2)

    await trip.signal("fail")
    await stage.event(trip, SIGNALED)
    await trip.signal("go")

    assert (await stage.ending(trip)).result == "done"
    assert stage.agency.story == ["book-hotel", "pay"]
    assert any("signal 'fail' has failed" in line for line in caplog.messages)


async def test_a_signal_that_fails_in_a_child_after_its_saga_fails_the_task(stage: Stage) -> None:
    """P7: its parent would take it for a child that has compensated."""
    trip, child = await with_child(stage, "late")

    await child.signal("fail")

    assert "after its saga was completed" in await task_failure(stage, child)
    await trip.terminate("nor is that of its child")


async def test_a_signal_that_fails_before_the_block_of_a_later_run(stage: Stage) -> None:
    """P7: what an earlier run has done is made up for as soon as the saga has begun again."""
    trip = await begin(stage, listeners.EarlyListener)
    trip = await stage.next_run(trip)

    await trip.signal("fail")
    await stage.event(trip, SIGNALED)
    await trip.signal("go")

    assert await stage.ending(trip) == Ending("FAILED", "compensated", "ApplicationError")
    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("handler", ["signal", "update"])
async def test_a_step_that_comes_after_the_saga_is_refused(stage: Stage, handler: str) -> None:
    """P19: whoever asks from outside cannot know that it has ended, and must not wedge the workflow."""
    trip = await begin(stage, listeners.LateListener)
    await stage.event(trip, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, nth=2)

    if handler == "signal":
        await trip.signal("do", "car")
    else:
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await trip.execute_update("add", "car")
        assert isinstance(failed.value.cause, ApplicationError)
        assert failed.value.cause.type == "SagaRefused"
    await trip.signal("go")

    assert (await stage.ending(trip)).result == "done"
    assert stage.agency.story == ["book-hotel"]


async def test_a_step_that_is_refused_in_an_update_fails_the_update(stage: Stage) -> None:
    """Whoever has asked is told why; the saga goes on."""
    stage.agency.when("book-car", refuses())
    trip = await begin(stage, listeners.Listener)
    await stage.event(trip, COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await trip.execute_update("add", "car")
    await trip.signal("go")

    assert isinstance(failed.value.cause, ApplicationError)
    assert (failed.value.cause.type, failed.value.cause.details[0]) == ("Rejected", "sold_out")
    assert (await stage.ending(trip)).result == "done"


async def test_a_child_that_closes_with_a_bug_leaves_its_parent_stuck(stage: Stage) -> None:
    """P8: it was told to close with every error, and so cannot wait until its code is mended."""
    trip = await begin(stage, listeners.Parent, "strict")

    await stage.status(trip, "stuck")

    assert stage.agency.story == ["book-flight", "book-hotel", "cancel-flight"]


async def test_a_child_that_closes_as_its_code_has_changed_leaves_its_parent_stuck(stage: Stage) -> None:
    """P8: what it has done is still there."""
    trip, child = await with_child(stage, "changed")
    await stage.close()
    stage.workflows = [listeners.Changed if kind is listeners.Unchanged else kind for kind in WORKFLOWS]
    await stage.open()

    await child.signal("go")
    await stage.status(trip, "stuck")

    stage.ids.remove(trip.id)  # what its child has done fails in replay

    assert stage.agency.story == ["book-flight", "book-hotel", "cancel-flight"]
    story = await SagaClient(stage.client).show(trip.id)
    assert [owed.state for owed in story.steps[1].compensations] == ["owed"]
    await trip.terminate("nobody is going to tell")
