"""The outcome of a saga as a value: completed, compensated, settled or interrupted."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from sagas import Saga, SagaError, SagaPlugin, StartError
from sagas._client.saga_handle import SagaHandle
from sagas._client.start import execute_saga
from sagas._core.outcome import Outcome
from sagas._core.saga_outcome import Compensated, Completed, CutOff, ResolvedStep, SagaOutcome, Settled
from sagas.operator import COMPLETE, SKIP, CompleteRequest, RemainingEffect, SagaNotFoundError, SkipRequest

from ..fixtures.trip_participants import fails, rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import PLANNED_FAILURE, STEPS, TripSaga
from ..fixtures.worker_harness import Handle, WorkerHarness
from .lost_history import LostHistory

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])
DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
SKIP_FLIGHT = SkipRequest(by="mia", because="it was never there", step="book-flight")


@workflow.defn
class PoliteTrip:
    """Handles the failure of the saga, and returns a sentence."""

    @workflow.run
    async def run(self, plan: TripPlan) -> str:
        try:
            async with Saga() as saga:
                await saga.step(STEPS["hotel"], plan)
                await saga.step(STEPS["flight"], plan)
        except ApplicationError:
            return "sorry"
        return "done"


@workflow.defn
class PlainWorkflow:
    """A workflow without a saga."""

    @workflow.run
    async def run(self, plan: TripPlan) -> str:
        if plan.name == "fails":
            raise ApplicationError("this plan fails", type="Planned")
        return plan.name


WORKFLOWS: list[type] = [TripSaga, PoliteTrip, PlainWorkflow]


def described(outcome: SagaOutcome[list[str]]) -> str:
    """A caller's reaction to each outcome."""
    match outcome:
        case Completed(words):
            return f"did {', '.join(words)}"
        case Compensated("sold_out", reason=reason):
            return f"sold out: {reason}"
        case Compensated(code):
            return f"nothing is left, because of {code}"
        case Settled(None, code, manual_resolutions=resolutions):
            return f"{code}, and somebody saw to {', '.join(resolutions)}"
        case Settled(words):
            return f"did {words}, with help"
        case CutOff(how=how, pending_compensations=pending):
            return f"{how}, pending: {', '.join(each.address for each in pending)}"


def completed_hotel(address: str, *, because: str) -> ResolvedStep:
    """The hotel that was closed, and that mia booked by hand."""
    return ResolvedStep(
        address=address,
        resolution="completed-manually",
        by="mia",
        because=because,
        code="closed",
        reason="closed, sorry",
    )


async def execute(harness: WorkerHarness, *do: "str | TripPlan") -> SagaOutcome[list[str]]:
    """Runs a trip to the end."""
    trip_id = f"trip-{uuid4().hex[:8]}"
    harness.workflow_ids.append(trip_id)
    return await execute_saga(
        harness.client, TripSaga.run, TripPlan(do=do), id=trip_id, task_queue=harness.task_queue
    )


async def test_completed_saga_has_a_result(harness: WorkerHarness) -> None:
    """The result has the type declared by the run method."""
    outcome = await execute(harness, "hotel", "pay", "look")

    assert outcome == Completed(["hotel", "pay", "look"])
    assert described(outcome) == "did hotel, pay, look"


async def test_rejected_saga_has_code_reason_and_field(harness: WorkerHarness) -> None:
    """The participant's words, and the effects without a compensation."""
    harness.participants.when("pay", rejects())

    outcome = await execute(harness, "hotel", "best-effort-ticket", "pay")

    assert outcome == Compensated(
        "sold_out",
        reason="sold_out, sorry",
        field="seat",
        remaining_effects=(RemainingEffect(address="send-ticket", outcome=Outcome.DONE),),
    )
    assert described(outcome) == "sold out: sold_out, sorry"
    assert harness.participants.started[-1] == "cancel-hotel"


@pytest.mark.parametrize(
    ("do", "code", "reason"),
    [
        ("fail", "Planned", f"Planned: {PLANNED_FAILURE}"),
        (
            "flight",
            "unknown_outcome",
            "the outcome of step 'book-flight' is unknown: Broken: the connection was lost",
        ),
        ("visa-0.1", "deadline_exceeded", "the wait for 'visa' ran out of time"),
    ],
)
async def test_failed_saga_has_the_code_of_the_first_failure(
    harness: WorkerHarness, do: str, code: str, reason: str
) -> None:
    """An error of the workflow, an unknown outcome, a timeout."""
    harness.participants.when("book-flight", fails())

    assert await execute(harness, "hotel", do) == Compensated(code, reason=reason)


async def test_cancelled_saga_is_compensated(harness: WorkerHarness) -> None:
    """The reason is the reason of the cancel request."""
    trip = await harness.start_trip("hotel", "sleep")
    await harness.wait_for_event(trip, DONE)
    await trip.cancel(reason="the customer has changed her mind")

    outcome = await trip.outcome()

    reason = "the customer has changed her mind"
    assert outcome == Compensated("cancelled", reason=reason, is_cancelled=True)
    assert described(outcome) == "nothing is left, because of cancelled"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_skipped_compensation_settles_the_saga(harness: WorkerHarness) -> None:
    """The remaining effect is named, with the person and the reason."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_status(trip, "stuck")
    await harness.send_update(trip, SKIP, SKIP_FLIGHT)

    outcome = await trip.outcome()

    assert outcome == Settled(
        None,
        "Planned",
        is_compensated=True,
        manual_resolutions={"book-flight": "skipped"},
        reason=f"Planned: {PLANNED_FAILURE}",
        remaining_effects=(
            RemainingEffect(
                address="book-flight",
                outcome=Outcome.DONE,
                reason="skipped by mia: it was never there",
            ),
        ),
        resolved_steps=(
            ResolvedStep(
                address="book-flight",
                resolution="skipped",
                by="mia",
                because="it was never there",
                code="too_late",
                reason="too_late, sorry",
            ),
        ),
    )
    assert described(outcome) == "Planned, and somebody saw to book-flight"


@pytest.mark.parametrize("whose", ["parent", "child"])
async def test_cancelled_saga_with_a_skipped_compensation_is_settled(
    harness: WorkerHarness, whose: str
) -> None:
    """Addresses are the parent's. Cancelling only the child does not count as cancelling the parent."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "sleep")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, CHILD_STARTED)
    await harness.wait_for_event(child, EventType.EVENT_TYPE_TIMER_STARTED)
    await (trip if whose == "parent" else child).cancel()
    await harness.wait_for_status(child, "stuck")
    await harness.send_update(child, SKIP, SKIP_FLIGHT)

    outcome = await trip.outcome()

    assert isinstance(outcome, Settled)
    assert (outcome.code, outcome.is_cancelled) == ("cancelled", whose == "parent")
    assert outcome.manual_resolutions == {"leg:book-flight": "skipped"}
    (resolved,) = outcome.resolved_steps
    assert (resolved.address, resolved.by, resolved.code) == ("leg:book-flight", "mia", "too_late")
    of_child = await SagaHandle.for_id(harness.client, child.id).outcome()
    assert isinstance(of_child, Settled)
    assert (of_child.is_cancelled, of_child.manual_resolutions) == (True, {"book-flight": "skipped"})


async def test_saga_with_a_manually_completed_step_has_a_result(harness: WorkerHarness) -> None:
    """After the pivot, a person completed a failing step of a child."""
    harness.participants.when("book-hotel", rejects("closed"))
    leg = TripPlan(do=("pay", "hotel"), is_pivot=True)
    trip = await harness.start_trip("flight", leg, "look")
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, CHILD_STARTED)
    await harness.wait_for_status(child, "stuck")
    request = CompleteRequest(by="mia", because="by telephone", step="book-hotel", result={"number": "h-9"})
    await harness.send_update(child, COMPLETE, request)

    outcome = await trip.outcome()

    assert outcome == Settled(
        ["flight", "leg", "look"],
        is_compensated=False,
        manual_resolutions={"leg:book-hotel": "completed-manually"},
        resolved_steps=(completed_hotel("leg:book-hotel", because="by telephone"),),
    )
    assert described(outcome) == "did ['flight', 'leg', 'look'], with help"
    assert await SagaHandle.for_id(harness.client, child.id, TripSaga.run).outcome() == Settled(
        ["pay", "hotel"],
        is_compensated=False,
        manual_resolutions={"book-hotel": "completed-manually"},
        resolved_steps=(completed_hotel("book-hotel", because="by telephone"),),
    )


async def test_outcome_follows_continue_as_new(harness: WorkerHarness) -> None:
    """The handle of the first run gives the result of the last run."""
    trip = await harness.start_trip("hotel", "again", "flight", "wait")
    later = await harness.wait_for_next_run(trip)
    await later.signal("go")

    assert await trip.outcome() == Completed(["hotel", "again", "flight", "wait"])


async def test_steps_of_earlier_runs_are_compensated(harness: WorkerHarness) -> None:
    """A failure in a later run compensates the steps of an earlier run."""
    outcome = await execute(harness, "hotel", "again", "fail")

    assert described(outcome) == "nothing is left, because of Planned"
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


async def test_for_id_gives_the_outcome_on_another_client(harness: WorkerHarness, server: str) -> None:
    """From another client; without a run method the result is plain JSON data."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight",)))
    other = await Client.connect(server, plugins=[SagaPlugin()])

    by_type = SagaHandle.for_id(other, trip.id, TripSaga.run)

    assert await by_type.outcome() == Completed(["hotel", "leg"])
    assert await by_type.result() == ["hotel", "leg"]
    assert await SagaHandle.for_id(other, trip.id).outcome() == Completed(["hotel", "leg"])


async def test_child_has_an_outcome_of_its_own(harness: WorkerHarness) -> None:
    """The result without the pending compensations, or the failure."""
    trip = await harness.start_trip(
        "hotel", TripPlan(do=("flight",), name="good"), TripPlan(do=("car", "fail"), name="bad")
    )
    await harness.wait_for_ending(trip)

    good = SagaHandle.for_id(harness.client, f"{trip.id}/good", TripSaga.run)
    bad = SagaHandle.for_id(harness.client, f"{trip.id}/bad", TripSaga.run)

    assert await good.outcome() == Completed(["flight"])
    assert await SagaHandle.for_id(harness.client, good.id).outcome() == Completed(["flight"])
    assert described(await bad.outcome()) == "nothing is left, because of Planned"
    assert described(await trip.outcome()) == "nothing is left, because of Planned"


async def test_saga_is_compensated_although_the_workflow_handles_the_failure(harness: WorkerHarness) -> None:
    """The workflow completed, but no effect of the saga remains."""
    harness.participants.when("book-flight", rejects())
    trip_id = f"polite-{harness.task_queue}"
    harness.workflow_ids.append(trip_id)

    outcome = await execute_saga(
        harness.client, PoliteTrip.run, TripPlan(do=()), id=trip_id, task_queue=harness.task_queue
    )

    assert outcome == Compensated(
        "", reason="the workflow handled the failure of its saga and returned a result"
    )
    assert await SagaHandle.for_id(harness.client, trip_id, PoliteTrip.run).result() == "sorry"


@pytest.mark.parametrize("do", [("hotel", "wait-after-block"), ("hotel", "pay", "wait-after-block")])
async def test_workflow_terminated_after_a_completed_saga_has_no_pending_compensations(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """The saga had completed, so the effects stay; only the result is missing."""
    trip = await harness.start_trip(*do)
    await harness.wait_for_status(trip, "completed")
    await trip.terminate(reason="by mistake")

    assert await trip.outcome() == CutOff(how="terminated", reason="by mistake", has_completed=True)


async def test_workflow_that_fails_after_a_completed_saga_has_a_code_and_a_reason(
    harness: WorkerHarness,
) -> None:
    """The outcome has the type and the message of the error."""
    outcome = await execute(harness, "hotel", "fail-after-block")

    assert outcome == CutOff(how="failed", code="Planned", reason=PLANNED_FAILURE, has_completed=True)


async def start_plain(harness: WorkerHarness, workflow_type: str, plan: object, **options: Any) -> str:
    """Starts a workflow without `start_saga`."""
    handle: Handle = await harness.client.start_workflow(
        workflow_type, plan, id=f"plain-{uuid4().hex[:8]}", task_queue=harness.task_queue, **options
    )
    harness.workflow_ids.append(handle.id)
    return handle.id


async def test_workflow_without_a_saga_has_an_outcome(harness: WorkerHarness) -> None:
    """The result or the failure of the workflow."""
    good = await start_plain(harness, "PlainWorkflow", TripPlan(do=(), name="good"))
    bad = await start_plain(harness, "PlainWorkflow", TripPlan(do=(), name="fails"))
    unreadable = await start_plain(harness, "TripSaga", {"do": "hotel"})

    assert await SagaHandle.for_id(harness.client, good, PlainWorkflow.run).outcome() == Completed("good")
    assert await SagaHandle.for_id(harness.client, bad).outcome() == CutOff(
        how="failed", code="Planned", reason="this plan fails"
    )
    outcome = await SagaHandle.for_id(harness.client, unreadable).outcome()
    assert isinstance(outcome, CutOff)
    assert (outcome.how, outcome.code) == ("failed", "ValidationError")


@pytest.mark.parametrize("option", ["execution_timeout", "run_timeout"])
async def test_saga_refused_before_the_first_step_raises_a_start_error(
    harness: WorkerHarness, option: str
) -> None:
    """The error tells the reason, and no step has run."""
    trip_id = await start_plain(harness, "TripSaga", TripPlan(do=("hotel",)), **{option: timedelta(hours=1)})

    with pytest.raises(StartError, match=f"{trip_id}' was refused before its first step: an execution"):
        await SagaHandle.for_id(harness.client, trip_id).outcome()
    assert harness.participants.started == []


async def test_unknown_saga_is_not_found(harness: WorkerHarness) -> None:
    """Also for the id of a rescue, and of a child."""
    for saga_id in ("nobody", "nobody~rescue", "nobody/leg"):
        with pytest.raises(SagaNotFoundError, match=r"saga 'nobody.*was not found"):
            await SagaHandle.for_id(harness.client, saga_id).outcome()


@pytest.mark.parametrize("do", [("hotel",), ("hotel", "fail")], ids=["completed", "compensated"])
async def test_saga_without_a_kept_history_is_not_found(
    harness: WorkerHarness, server: str, do: tuple[str, ...]
) -> None:
    """The error mentions the retention of the server."""
    trip = await harness.start_trip(*do)
    await trip.outcome()
    lost = LostHistory(trip.first_execution_run_id)
    client = await Client.connect(server, plugins=[SagaPlugin()], interceptors=[lost])

    with pytest.raises(SagaNotFoundError, match="the server deletes closed sagas after the retention period"):
        await SagaHandle.for_id(client, trip.id, TripSaga.run).outcome()


async def test_result_of_another_type_is_refused(harness: WorkerHarness) -> None:
    """The error names the expected type."""
    trip = await harness.start_trip("hotel")

    with pytest.raises(SagaError, match=f"the result of saga '{trip.id}' cannot be read as str"):
        await SagaHandle.for_id(harness.client, trip.id, PlainWorkflow.run).outcome()


async def test_later_workflow_with_the_same_id_is_refused(harness: WorkerHarness) -> None:
    """A plain `start_workflow` had used the id again."""
    trip = await harness.start_trip("hotel")
    assert await trip.outcome() == Completed(["hotel"])
    await harness.client.start_workflow(
        TripSaga.run, TripPlan(do=("hotel",)), id=trip.id, task_queue=harness.task_queue
    )

    with pytest.raises(SagaError, match="another workflow was started with this id"):
        await trip.outcome()
    assert await SagaHandle.for_id(harness.client, trip.id, TripSaga.run).outcome() == Completed(["hotel"])


async def test_status_is_read_from_the_memo_without_search_attributes(
    harness: WorkerHarness, server: str
) -> None:
    """A manually completed step settles the saga in this case, too."""
    client = await Client.connect(server, plugins=[SagaPlugin(search_attributes=False)])
    queue = f"memo-{harness.task_queue}"
    harness.participants.when("book-hotel", rejects("closed"))
    async with Worker(
        client, task_queue=queue, workflows=[TripSaga], activities=harness.participants.activities()
    ):
        await client.start_workflow(TripSaga.run, TripPlan(do=("pay", "hotel")), id=queue, task_queue=queue)
        trip = SagaHandle.for_id(client, queue, TripSaga.run)
        await harness.wait_for_status(trip, "stuck")
        request = CompleteRequest(by="mia", because="x", step="book-hotel", result={"number": "h-9"})
        await harness.send_update(trip, COMPLETE, request)

        assert await trip.outcome() == Settled(
            ["pay", "hotel"],
            is_compensated=False,
            manual_resolutions={"book-hotel": "completed-manually"},
            resolved_steps=(completed_hotel("book-hotel", because="x"),),
        )
