"""A failed child with activities outside of a saga does not count as compensated."""

from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from sagas import Saga, start_saga

from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import PLANNED_FAILURE, STEPS
from ..fixtures.worker_harness import WORKFLOWS as USUAL
from ..fixtures.worker_harness import Handle, WorkerHarness

# Each workflow task is a replay from the beginning.
pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

SECONDS = timedelta(seconds=20)


@workflow.defn
class PlainChild:
    """A child workflow without a saga."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        await workflow.execute_activity("book-car", plan, start_to_close_timeout=SECONDS)


@workflow.defn
class ScriptedChild:
    """Follows a plan, continues as new without a saga, and fails at the end."""

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
                    raise ApplicationError(PLANNED_FAILURE, type="Planned")
            else:
                workflow.continue_as_new(rest, memo={"mine": 1} if word == "again-with-memo" else None)
        raise ApplicationError(PLANNED_FAILURE, type="Planned")


@workflow.defn
class ScriptedParent:
    """A saga with a scripted child."""

    @workflow.run
    async def run(self, plan: TripPlan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            await saga.child(ScriptedChild.run, plan, name="leg")


WORKFLOWS = [*USUAL, PlainChild, ScriptedChild, ScriptedParent]


async def start_parent(harness: WorkerHarness, *do: str) -> Handle:
    """Starts a saga; the child follows the given words."""
    harness.workflow_ids.append(f"sent-{uuid4().hex[:8]}")
    plan = TripPlan(do=do)
    return await start_saga(
        harness.client, ScriptedParent.run, plan, id=harness.workflow_ids[-1], task_queue=harness.task_queue
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
async def test_child_with_activities_outside_of_a_saga_leaves_the_parent_stuck(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """The activities may belong to any run of the child."""
    trip = await start_parent(harness, *do)

    await harness.wait_for_status(trip, "stuck")

    assert harness.participants.started == ["book-hotel", "book-car", "cancel-hotel"]


@pytest.mark.parametrize("do", [("again",), ("again-with-memo",), ("again", "saga")], ids=" ".join)
async def test_failed_child_without_effects_is_compensated(
    harness: WorkerHarness, do: tuple[str, ...]
) -> None:
    """The parent counts the failed child as compensated, after any number of runs."""
    trip = await start_parent(harness, *do)

    ending = await harness.wait_for_ending(trip)
    assert (ending.closed, ending.saga) == ("FAILED", "compensated")
    assert harness.participants.started[-1] == "cancel-hotel"
