"""A child that does what belongs to no saga, and fails: its parent must not think that it has compensated."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from sagas import Saga, start_saga

from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import STEPS
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Handle, WorkerHarness

# Each task is a replay from the beginning.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

SECONDS = timedelta(seconds=20)


@workflow.defn
class PlainChild:
    """Belongs to no saga."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        await workflow.execute_activity("book-car", plan, start_to_close_timeout=SECONDS)


@workflow.defn
class Wanderer:
    """Does what its plan says, goes on in new runs by itself, and fails at the end."""

    @workflow.run
    async def run(self, plan: TripPlan) -> int:
        for place, word in enumerate(plan.do):
            rest = plan.model_copy(update={"do": plan.do[place + 1 :]})
            if word == "car":
                await workflow.execute_activity("book-car", plan, start_to_close_timeout=SECONDS)
            elif word == "child":
                await workflow.execute_child_workflow(PlainChild.run, plan)
            elif word == "saga":
                async with Saga() as saga:
                    await saga.step(STEPS["flight"], plan)
                    raise ApplicationError("the plan says so", type="Planned")
            else:
                workflow.continue_as_new(rest, memo={"mine": 1} if word == "again-with-memo" else None)
        raise ApplicationError("the plan says so", type="Planned")


@workflow.defn
class Sender:
    """Has a wanderer as its child."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            await saga.child(Wanderer.run, plan, name="leg")


WORKFLOWS = [*USUAL, PlainChild, Wanderer, Sender]


async def send(harness: WorkerHarness, *do: str) -> Handle:
    """Starts a saga with a child that does so."""
    harness.workflow_ids.append(f"sent-{uuid4().hex[:8]}")
    plan = TripPlan(do=do)
    return await start_saga(
        harness.client, Sender.run, plan, id=harness.workflow_ids[-1], task_queue=harness.task_queue
    )


@pytest.mark.parametrize(
    "do",
    [
        ("car", "again", "again"),
        ("car", "again-with-memo", "again"),
        ("again-with-memo", "car"),
        ("child",),
        ("child", "again"),
    ],
    ids=" ".join,
)
async def test_child_that_has_done_what_nobody_makes_up_for_leaves_its_parent_stuck(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """Whatever run of it has done that."""
    trip = await send(harness, *do)

    await harness.wait_for_status(trip, "stuck")

    assert harness.participants.started == ["book-hotel", "book-car", "cancel-hotel"]


@pytest.mark.parametrize("do", [("again",), ("again-with-memo",), ("again", "saga")], ids=" ".join)
async def test_child_that_has_done_nothing_else_is_believed(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """However often it went on by itself."""
    trip = await send(harness, *do)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("FAILED", "compensated")
    assert harness.participants.started[-1] == "cancel-hotel"
