"""`parallel` with a limit: branches of any kind begin in order, each when another branch has ended."""

from inspect import getcoroutinestate

from temporalio import workflow
from temporalio.api.enums.v1 import EventType

from sagas import DefinitionError, OnFailure, RejectedError, Saga

from ..fixtures.trip_participants import rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import PIVOTS, STEPS
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
ITEMS = 30


# The sandbox would import this file again for each worker.
@workflow.defn(sandboxed=False)
class LimitedBranches:
    """Two words after each other in each branch, one branch at once."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        async with Saga() as saga:
            return list(
                await saga.parallel(
                    *(self._branch(saga, plan, str(word)) for word in plan.do),
                    limit=1,
                    on_failure=OnFailure.CANCEL if plan.name == "cancel" else OnFailure.FINISH,
                )
            )

    async def _branch(self, saga: Saga, plan: TripPlan, word: str) -> str:
        await saga.step(STEPS[word], plan, key="out")
        await saga.step(STEPS[word], plan, key="back")
        return word


@workflow.defn(sandboxed=False)
class WrongLimit:
    """Catches the refusal of a limit; returns the message and the state of the branch."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        async with Saga() as saga:
            flight = saga.step(STEPS["flight"], plan)
            try:
                await saga.parallel(flight, limit=0)
            except DefinitionError as error:
                return [str(error), getcoroutinestate(flight)]
        return []


@workflow.defn(sandboxed=False)
class BranchesInHandler:
    """A handler has a branch that waits for its turn, while the main task passes the pivot."""

    def __init__(self) -> None:
        self.saga: Saga | None = None
        self.has_begun = False

    @workflow.signal
    async def book(self, plan: TripPlan) -> None:
        """Books one after the other."""
        # The signal may arrive before the saga is open.
        await workflow.wait_condition(lambda: self.saga is not None)
        assert self.saga is not None
        steps = [self.saga.step(STEPS[word], plan) for word in ("hotel", "flight")]
        self.has_begun = True
        await self.saga.parallel(*steps, limit=1)

    @workflow.run
    async def run(self, plan: TripPlan) -> str:
        async with Saga() as saga:
            self.saga = saga
            await workflow.wait_condition(lambda: self.has_begun)
            await saga.pivot(PIVOTS["pay"], plan)
            await workflow.wait_condition(workflow.all_handlers_finished)
        return "paid"


@workflow.defn(sandboxed=False)
class ManyRejections:
    """All items of a map are rejected; returns the notes of the error."""

    @workflow.run
    async def run(self, plan: TripPlan) -> list[str]:
        async with Saga() as saga:
            try:
                await saga.map(STEPS["flight"], [plan] * ITEMS, key=lambda _: f"i{next(self.numbers)}")
            except RejectedError as error:
                return error.__notes__
        return []

    def __init__(self) -> None:
        self.numbers = iter(range(ITEMS))


WORKFLOWS = [LimitedBranches, WrongLimit, BranchesInHandler, ManyRejections]


async def start(harness: WorkerHarness, saga: type, *do: str, name: str = "leg") -> Handle:
    saga_id = f"{saga.__name__}-{harness.task_queue}"
    harness.workflow_ids.append(saga_id)
    return await harness.client.start_workflow(
        saga.__name__, TripPlan(do=do, name=name), id=saga_id, task_queue=harness.task_queue
    )


async def test_branches_begin_one_after_the_other(harness: WorkerHarness) -> None:
    """A branch with several steps ends before the next branch begins; the results keep the order."""
    saga = await start(harness, LimitedBranches, "car", "hotel", "flight")

    assert (await harness.wait_for_ending(saga)).result == ["car", "hotel", "flight"]
    assert harness.participants.started == [
        f"book-{word}" for word in ("car", "car", "hotel", "hotel", "flight", "flight")
    ]


async def test_a_failure_that_cancels_begins_no_further_branch(harness: WorkerHarness) -> None:
    """The coroutine of the waiting branch is closed, and Python does not warn."""
    harness.participants.when("book-hotel", rejects("full"))
    saga = await start(harness, LimitedBranches, "car", "hotel", "flight", name="cancel")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "full")
    assert harness.participants.started == ["book-car"] * 2 + ["book-hotel"] + ["cancel-car"] * 2


async def test_a_limit_below_one_is_refused(harness: WorkerHarness) -> None:
    """No branch begins, and the coroutine of the branch is closed."""
    saga = await start(harness, WrongLimit)

    result = (await harness.wait_for_ending(saga)).result
    assert isinstance(result, list)
    message, state = result

    assert message.startswith("limit must be an int from 1 to")
    assert state == "CORO_CLOSED"


async def test_a_waiting_branch_of_a_handler_is_not_taken_for_a_forgotten_call(
    harness: WorkerHarness,
) -> None:
    """The pivot waits for the branch under way; the waiting branch begins as other steps of handlers do."""
    hotel = harness.participants.block("book-hotel")
    saga = await start(harness, BranchesInHandler)
    await saga.signal("book", TripPlan(do=()))
    await hotel.entered.wait()
    hotel.released.set()

    assert (await harness.wait_for_ending(saga)).result == "paid"
    assert sorted(harness.participants.started) == ["book-flight", "book-hotel", "pay"]


async def test_the_first_failure_names_ten_others(harness: WorkerHarness) -> None:
    """The rest is counted."""
    harness.participants.when("book-flight", *[rejects("no_seat")] * ITEMS)
    saga = await start(harness, ManyRejections)

    notes = (await harness.wait_for_ending(saga)).result

    assert isinstance(notes, list)
    assert len(notes) == 11
    assert notes[-1] == f"and the number of further failures is {ITEMS - 11}"
