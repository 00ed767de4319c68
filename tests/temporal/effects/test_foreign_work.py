"""Work that belongs to no step is refused while the saga is open, or declared, and always listed."""

import asyncio
from datetime import timedelta
from typing import Any

import nexusrpc
import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.worker import PatchActivationInput

from sagas import DefinitionError, Saga, start_saga
from sagas._client.saga_handle import SagaHandle
from sagas._core.saga_outcome import Compensated, Completed, SagaOutcome
from sagas._plugin.workflow_checks import FOREIGN_PATCH
from sagas._wire.failures import SAGA_FOREIGN_ACTIVITY
from sagas.operator import SagaClient, Timeline, render_preview, render_timeline

from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import PIVOTS, PLANNED_FAILURE, STEPS
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

SECONDS = timedelta(seconds=20)
KINDS = ("activity", "local activity", "child workflow", "Nexus operation")
NAMES = dict(zip(KINDS, ("book-car", "book-flight", "Errand", "notify"), strict=True))
"""The names of the work, by kind."""
MARKER = EventType.EVENT_TYPE_MARKER_RECORDED
EVENTS = {
    "activity": EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
    "child workflow": EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
    "Nexus operation": EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED,
}
ENDS = {
    "activity": EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    "local activity": MARKER,
    "child workflow": EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
}


@nexusrpc.service
class Post:
    """A Nexus service."""

    notify: nexusrpc.Operation[str, str]


async def work(kind: str, plan: TripPlan) -> None:
    """Runs work of a kind without the saga."""
    match kind:
        case "activity":
            await workflow.execute_activity("book-car", plan, start_to_close_timeout=SECONDS)
        case "local activity":
            await workflow.execute_local_activity("book-flight", plan, start_to_close_timeout=SECONDS)
        case "child workflow":
            await workflow.execute_child_workflow(Errand.run, plan)
        case _:
            post = workflow.create_nexus_client(service=Post, endpoint="nowhere")
            await post.execute_operation("notify", "hello")


@workflow.defn
class Errand:
    """A workflow without a saga."""

    @workflow.run
    async def run(self, plan: TripPlan) -> str:
        return plan.name


@workflow.defn
class ForeignSaga:
    """Follows the words of a plan: kinds of work without the saga, and others."""

    def __init__(self) -> None:
        self.has_gone = False

    @workflow.signal
    async def signalled(self, kind: str) -> None:
        await work(kind, TripPlan(do=()))

    @workflow.update
    async def updated(self, kind: str) -> str:
        await work(kind, TripPlan(do=()))
        return "taken"

    @workflow.signal
    def go(self) -> None:
        self.has_gone = True

    @workflow.run
    async def run(self, plan: TripPlan) -> list[object]:
        before, block, after = " ".join(map(str, plan.do)).split(" | ")
        for kind in filter(None, before.split(", ")):
            await work(kind, plan)
        names = set(plan.done)
        async with Saga(foreign_activities=names) as saga:
            for place, word in enumerate(words := block.split(", ")):
                if word == "again":
                    rest = ("", "|", ", ".join(words[place + 1 :]), "|", after)
                    await saga.continue_as_new(plan.model_copy(update={"do": rest}))
                await self._do(saga, plan, word)
        for kind in filter(None, after.split(", ")):
            await work(kind, plan)
        return []

    async def _do(self, saga: Saga, plan: TripPlan, word: str) -> None:
        if word in KINDS:
            await work(word, plan)
        elif word in STEPS:
            await saga.step(STEPS[word], plan)
        elif word == "pay":
            await saga.pivot(PIVOTS["pay"], plan)
        elif word == "wait":
            await workflow.wait_condition(lambda: self.has_gone)
        elif word == "task":
            await asyncio.create_task(work("activity", plan))
        else:
            raise ApplicationError(PLANNED_FAILURE, type="Planned")


WORKFLOWS: list[type] = [ForeignSaga, Errand]


async def start(
    harness: WorkerHarness, block: str, *, before: str = "", after: str = "", declared: tuple[str, ...] = ()
) -> SagaHandle[Any]:
    """Starts a saga; `declared` are the names that may run inside the block."""
    harness.workflow_ids.append(f"foreign-{harness.task_queue}")
    plan = TripPlan(do=(before, "|", block, "|", after), done=declared)
    return await start_saga(
        harness.client, ForeignSaga.run, plan, id=harness.workflow_ids[-1], task_queue=harness.task_queue
    )


async def with_old_worker(harness: WorkerHarness) -> None:
    """Replaces the worker by a worker from before the refusal; the fixture replays with the refusal."""

    def is_old(patch: PatchActivationInput) -> bool:
        return patch.patch_id != FOREIGN_PATCH

    await harness.stop_workers()
    await harness.start_worker(is_patch_active=is_old)


async def event_kinds(saga: Handle) -> list[int]:
    """The types of the events of a history."""
    return [event.event_type async for event in saga.fetch_history_events()]


def remaining(outcome: SagaOutcome[Any]) -> list[tuple[str, str]]:
    """The addresses and reasons of the remaining effects."""
    return [(effect.address, effect.reason) for effect in outcome.remaining_effects]


def foreign_work(timeline: Timeline) -> list[tuple[str, str, str]]:
    """The foreign work of a timeline."""
    return [(work.name, work.kind.value, work.outcome.value) for work in timeline.foreign_work]


@pytest.mark.parametrize(("kind", "name"), NAMES.items())
async def test_undeclared_work_is_refused_before_it_is_sent(
    harness: WorkerHarness, kind: str, name: str
) -> None:
    """The saga compensates, and nothing stays that the saga does not know."""
    saga = await start(harness, f"hotel, {kind}")

    outcome = await saga.outcome()

    assert isinstance(outcome, Compensated)
    assert (outcome.code, outcome.remaining_effects) == (SAGA_FOREIGN_ACTIVITY, ())
    assert f"{kind} {name!r} belongs to no step" in outcome.reason
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]
    kinds = await event_kinds(saga)
    assert kinds.count(EVENTS["activity"]) == 2
    assert not {EVENTS["child workflow"], EVENTS["Nexus operation"]} & set(kinds)


async def test_undeclared_work_in_a_task_of_the_workflow_is_refused(harness: WorkerHarness) -> None:
    """The block awaits the task, and the saga compensates."""
    saga = await start(harness, "hotel, task")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", SAGA_FOREIGN_ACTIVITY)
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("kind", KINDS)
async def test_undeclared_work_of_a_signal_handler_compensates_the_saga(
    harness: WorkerHarness, kind: str
) -> None:
    """As if the block had called the work."""
    saga = await start(harness, "hotel, wait")
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await saga.signal("signalled", kind)

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", SAGA_FOREIGN_ACTIVITY)
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("kind", KINDS)
async def test_undeclared_work_of_an_update_handler_is_refused_to_the_sender(
    harness: WorkerHarness, kind: str
) -> None:
    """The saga goes on."""
    saga = await start(harness, "hotel, wait, flight")
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await saga.execute_update("updated", kind)
    await saga.signal("go")

    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == SAGA_FOREIGN_ACTIVITY
    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "book-flight"]


async def test_undeclared_work_after_the_pivot_fails_the_workflow_task(harness: WorkerHarness) -> None:
    """A saga past the pivot compensates nothing: the work is not sent, and the code must be mended."""
    saga = await start(harness, "hotel, pay, activity")

    await harness.wait_for_event(saga, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    failure = (await SagaClient(harness.client).show(saga.id)).task_failure
    assert failure is not None
    assert "'book-car' belongs to no step" in failure.reason
    assert harness.participants.started == ["book-hotel", "pay"]


async def test_work_outside_of_the_block_is_unaffected_and_not_listed(harness: WorkerHarness) -> None:
    """Adopting stays neutral: code before and after the block runs as before, without an event."""
    kinds = "activity, local activity, child workflow"
    saga = await start(harness, "hotel, flight", before=kinds, after=kinds)

    assert isinstance(await saga.outcome(), Completed)
    assert harness.participants.started.count("book-car") == 2
    operator = SagaClient(harness.client)
    assert foreign_work(await operator.show(saga.id)) == []
    effects = (await operator.preview(saga.id)).remaining_effects
    assert [effect.address for effect in effects] == ["book-hotel", "book-flight"]
    changes = [
        event
        async for event in saga.fetch_history_events()
        if event.event_type == MARKER
        and event.marker_recorded_event_attributes.marker_name != "core_local_activity"
    ]
    assert changes == []


@pytest.mark.parametrize(
    "block", ["activity, hotel, {}, fail", "hotel, again, {}, fail"], ids=["one", "as-new"]
)
async def test_declared_work_runs_and_is_listed(harness: WorkerHarness, block: str) -> None:
    """Also in the next run of a saga that continues as new, and before the first step."""
    kinds = ", ".join(KINDS[1:3] if block.startswith("activity") else KINDS[:3])
    saga = await start(harness, block.format(kinds), declared=tuple(NAMES.values()))

    outcome = await saga.outcome()

    assert isinstance(outcome, Compensated)
    listed = [(NAMES[kind], f"foreign {kind}, which no saga compensates") for kind in KINDS[:3]]
    assert (outcome.code, remaining(outcome)) == ("Planned", listed)
    operator = SagaClient(harness.client)
    timeline = await operator.show(saga.id)
    assert foreign_work(timeline) == [(NAMES[kind], kind, "done") for kind in KINDS[:3]]
    assert timeline.remaining_effects == outcome.remaining_effects
    text, preview = render_timeline(timeline), render_preview(await operator.preview(saga.id))
    assert "Foreign work, which no saga compensates:\n  book-car (activity): done\n" in text
    assert "book-car (done): foreign activity, which no saga compensates" in preview
    assert (await event_kinds(saga)).count(MARKER) == 1, "the marker of the local activity, and no patch"


async def test_declared_nexus_operation_is_sent(harness: WorkerHarness) -> None:
    """The server refuses the workflow task, because nothing has the endpoint."""
    saga = await start(harness, "hotel, Nexus operation", declared=tuple(NAMES.values()))

    failed = await harness.wait_for_event(saga, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    assert "nowhere" in str(failed)


@pytest.mark.parametrize("kind", KINDS[:3])
async def test_run_with_undeclared_work_from_before_the_refusal_goes_on(
    harness: WorkerHarness, kind: str
) -> None:
    """The run replays and is never refused, also at the next undeclared work; the work is listed."""
    await with_old_worker(harness)
    saga = await start(harness, f"hotel, {kind}, wait, {kind}, fail")
    await harness.wait_for_event(saga, ENDS[kind], nth=2 if kind == "activity" else 1)
    await harness.stop_workers()
    await harness.start_worker()
    await saga.signal("go")

    outcome = await saga.outcome()

    assert isinstance(outcome, Compensated)
    assert [address for address, _ in remaining(outcome)] == [NAMES[kind]] * 2
    assert (outcome.code, harness.participants.started[-1]) == ("Planned", "cancel-hotel")


async def test_open_run_without_undeclared_work_refuses_the_first_one(harness: WorkerHarness) -> None:
    """The patch is decided at the first undeclared work, and not when the run starts."""
    await with_old_worker(harness)
    saga = await start(harness, "hotel, wait, activity")
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await harness.stop_workers()
    await harness.start_worker()
    await saga.signal("go")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", SAGA_FOREIGN_ACTIVITY)
    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("wrong", ["book-car", ["book-car"], {7}, {""}, None])
def test_declaration_of_other_than_names_is_refused(wrong: Any) -> None:
    """A text would be read as a set of letters."""
    with pytest.raises(DefinitionError, match="foreign_activities must be a set of names"):
        Saga(foreign_activities=wrong)
