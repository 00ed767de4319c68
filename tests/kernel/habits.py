"""Workflows as people write them: with time limits, tasks and handlers of their own, or simply wrong."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from sagas import CompensationOrder, Saga, action

from .agency import ONCE, PIVOTS, STEPS, TELL, Agency, Plan

HOUR = timedelta(hours=1)
GARAGE = "garage"
GARAGED = action(Agency.book_car, policy=ONCE).compensated_by(
    Agency.cancel_car, policy=ONCE, task_queue=GARAGE
)


class _Habit:
    def __init__(self) -> None:
        self.has_gone = False
        self.has_ended = False

    @workflow.signal
    def go(self) -> None:
        """Ends a wait."""
        self.has_gone = True

    @workflow.signal
    def end(self) -> None:
        """Ends another one."""
        self.has_ended = True

    async def gone(self) -> None:
        await workflow.wait_condition(lambda: self.has_gone)


@workflow.defn
class StepAfterTheBlock(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
        await saga.step(STEPS["flight"], plan)


@workflow.defn
class StepBeforeTheBlock(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        saga = Saga()
        await saga.step(STEPS["hotel"], plan)


@workflow.defn
class TaskAtTheEnd(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            task = asyncio.create_task(saga.step(STEPS["flight"], plan))
            await workflow.sleep(0.05)
            self.task = task


@workflow.defn
class ChangesItsMessages(_Habit):
    """Goes on using what it has sent, and what it was answered."""

    plan: Plan

    @workflow.signal
    def change(self) -> None:
        object.__setattr__(self.plan, "name", f"another {self.plan.name}")

    @workflow.run
    async def run(self, plan: Plan) -> None:
        self.plan = plan
        async with Saga() as saga:
            booking = await saga.step(STEPS["hotel"], plan)
            object.__setattr__(booking, "number", "another")
            self.change()
            if "pay" in plan.do:
                await saga.pivot(PIVOTS["pay"], plan)
            else:
                raise ApplicationError("the plan says so", type="Planned")


@workflow.defn
class TellsInEachRun(_Habit):
    """Has its last words at the top of its block, as one does."""

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            for _ in range(plan.do.count("tell")):
                saga.after_compensation(TELL, Plan(do=()))
            await saga.step(STEPS["hotel"], plan)
            if "again" in plan.do:
                await saga.continue_as_new(plan.model_copy(update={"do": plan.do[1:]}))
            raise ApplicationError("the plan says so", type="Planned")


@workflow.defn
class BadState(_Habit):
    """Goes on with what it does not take."""

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            await saga.continue_as_new({"do": 7})


@workflow.defn
class HalfAState(_Habit):
    """Goes on with one of two: Temporal reads no type then."""

    @workflow.run
    async def run(self, plan: Plan, word: str = "") -> str:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            await saga.continue_as_new(plan)
        return word


@workflow.defn
class BadStateParent(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["flight"], plan)
            await saga.child(BadState.run, plan, name="bad")


@workflow.defn
class StepInAHandler(_Habit):
    saga: Saga

    @workflow.update
    async def add(self, word: str) -> str:
        await workflow.wait_condition(lambda: hasattr(self, "saga"))
        await self.saga.step(STEPS[word], Plan(do=()))
        return word

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            self.saga = saga
            await saga.step(STEPS["hotel"], plan)
            await self.gone()
            raise ApplicationError("the plan says so", type="Planned")


@workflow.defn
class TwoWaitForOne(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> list[str]:
        async with Saga() as saga:
            visa = saga.expect("visa", Plan)
            both = await saga.parallel(saga.wait_for(visa), saga.wait_for(visa))
        return [each.name for each in both]


@workflow.defn
class ChildrenByGather(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            legs = [saga.child(StepChild.run, plan, name=name) for name in ("a", "b", "c", "d", "e")]
            await asyncio.gather(*legs)
            await workflow.sleep(HOUR)


@workflow.defn
class StepChild(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> str:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
        return "done"


@workflow.defn
class FarChild(_Habit):
    """Has a child of its own where it runs."""

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["flight"], plan)
            await saga.child(StepChild.run, plan, name="desk")
            await saga.step(GARAGED, plan)
            if "wait" in plan.do:
                await workflow.sleep(HOUR)


@workflow.defn
class FarParent(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            await saga.child(FarChild.run, plan, name="office", task_queue=str(plan.do[0]))
            raise ApplicationError("the plan says so", type="Planned")


@workflow.defn
class Wide(_Habit):
    """Sends more at once than Temporal takes in one workflow task."""

    @workflow.run
    async def run(self, plan: Plan) -> None:
        large = [plan.model_copy(update={"name": str(i) * 900_000}) for i in range(6)]
        async with Saga(order=CompensationOrder.PARALLEL) as saga:
            if plan.do[0] == "children":
                children = [saga.child(StepChild.run, each, name=f"leg-{each.name[0]}") for each in large]
                await saga.parallel(*children)
            else:
                await saga.parallel(*(saga.step(STEPS["flight"], each) for each in large))
            raise ApplicationError("the plan says so", type="Planned")


@workflow.defn
class OwnActivities(_Habit):
    """Has activities of its own, which would wedge it."""

    async def own(self, plan: Plan, **options: Any) -> object:
        limit = timedelta(seconds=20)
        return await workflow.execute_activity("book-car", plan, start_to_close_timeout=limit, **options)

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            if plan.do[0] == "large":
                await self.own(plan.model_copy(update={"name": "x" * 2_200_000}))
            await self.own(plan, activity_id="car")
            await self.own(plan, activity_id="car")
            if plan.do[0] == "two":
                twice = [self.own(plan, activity_id="two-cars") for _ in range(2)]
                await asyncio.gather(*twice)
        await self.own(plan, cancellation_type=workflow.ActivityCancellationType.ABANDON)


@workflow.defn
class LimitedPivot(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            async with asyncio.timeout(2):
                await saga.pivot(PIVOTS["pay-patient"], plan)


@workflow.defn
class LimitedSaga(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with asyncio.timeout(2), Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            raise ApplicationError("the plan says so", type="Planned")


@workflow.defn
class WaitForSaga(_Habit):
    async def book(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            raise ApplicationError("the plan says so", type="Planned")

    @workflow.run
    async def run(self, plan: Plan) -> None:
        await asyncio.wait_for(self.book(plan), 2)


@workflow.defn
class LimitedBranches(_Habit):
    async def branch(self, saga: Saga, plan: Plan) -> None:
        await saga.step(STEPS["hotel"], plan)
        await self.gone()
        await saga.step(STEPS["flight"], plan)

    @workflow.run
    async def run(self, plan: Plan) -> str:
        async with Saga() as saga:
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await saga.parallel(self.branch(saga, plan), saga.step(STEPS["look"], plan))
            await saga.pivot(PIVOTS["pay"], plan)
            await workflow.sleep(0.2)
        return "done"


@workflow.defn
class SagaInATask(_Habit):
    async def book(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            await workflow.sleep(HOUR)

    @workflow.run
    async def run(self, plan: Plan) -> None:
        task = asyncio.create_task(self.book(plan))
        await self.gone()
        del task


@workflow.defn
class Reader(_Habit):
    """Opens no saga any more in its second run."""

    @workflow.run
    async def run(self, plan: Plan) -> str:
        if not plan.done:
            async with Saga() as saga:
                await saga.step(STEPS["hotel"], plan)
                await saga.continue_as_new(plan.model_copy(update={"done": ("hotel",)}))
        return "nothing left"


@workflow.defn
class ReaderParent(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.child(Reader.run, plan, name="reader")
            raise ApplicationError("the plan says so", type="Planned")


@workflow.defn
class PlainContinue(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            if not plan.done:
                await saga.step(STEPS["hotel"], plan)
                workflow.continue_as_new(plan.model_copy(update={"done": ("hotel",)}))
            await saga.step(STEPS["flight"], plan)
            raise ApplicationError("the plan says so", type="Planned")


@workflow.defn
class LocalCareless(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        await workflow.execute_local_activity("book-car", plan, start_to_close_timeout=timedelta(seconds=5))
        raise ApplicationError("nobody makes up for the car", type="Careless")


@workflow.defn
class LocalCarelessParent(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            await saga.child(LocalCareless.run, plan, name="careless")


@workflow.defn
class PivotInATask(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            await asyncio.gather(saga.pivot(PIVOTS["pay"], plan), workflow.sleep(0.05))


@workflow.defn
class LongError(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            long = "x" * 3_000_000
            match plan.do[0]:
                case "text":
                    raise ApplicationError(long, type="Planned")
                case "details":
                    raise ApplicationError("the plan says so", long, type="Planned")
                case _:
                    raise ApplicationError("the plan says so", type="Planned") from ValueError(long)


@workflow.defn
class LongStory(_Habit):
    """Returns more than the server takes."""

    @workflow.run
    async def run(self, plan: Plan) -> str:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
        return "x" * 2_100_000


@workflow.defn
class HeavyChild(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> str:
        async with Saga() as saga:
            for _ in range(3):
                await saga.step(STEPS["hotel"], plan.model_copy(update={"name": "x" * 900_000}))
        return "done"


@workflow.defn
class HeavyParent(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["car"], plan)
            await saga.child(HeavyChild.run, plan, name="heavy")


@workflow.defn
class StuckTwice(_Habit):
    """Past its pivot: the second step begins while the first one is stuck."""

    async def second(self, saga: Saga, plan: Plan) -> None:
        await self.gone()
        await saga.step(STEPS["flight"], plan)

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.pivot(PIVOTS["pay"], plan)
            await saga.parallel(saga.step(STEPS["car"], plan), self.second(saga, plan))
            await workflow.wait_condition(lambda: self.has_ended, timeout=HOUR)


@workflow.defn
class LimitedAfterThePivot(_Habit):
    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.pivot(PIVOTS["pay"], plan)
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await saga.step(STEPS["ticket"], plan)


HABITS: list[type[Any]] = [
    each for each in list(globals().values()) if isinstance(each, type) and each.__module__ == __name__
][1:]
"""All of them; the first is only their base."""
