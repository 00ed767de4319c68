"""Workflows with handlers of their own, which do steps of the saga, or fail."""

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from sagas import Saga

from .agency import PIVOTS, STEPS, Plan, TripSaga


def with_a_word(handler: Callable[[Any, Plan, str], None]) -> Callable[[Any, Plan], None]:
    """Gives a handler one argument more than what comes."""

    @wraps(handler)
    def with_it(self: Any, plan: Plan) -> None:
        handler(self, plan, "go")

    return with_it


class _Listener:
    saga: Saga

    def __init__(self) -> None:
        self.has_gone = False

    @workflow.signal
    def go(self) -> None:
        """Ends the wait."""
        self.has_gone = True

    @workflow.signal
    def fail(self) -> None:
        """Fails as handlers may."""
        raise ApplicationError("bad news", type="Bad")

    @workflow.signal
    def misread(self) -> None:
        """Fails as pydantic does."""
        Plan.model_validate({"do": 7})

    @workflow.signal(name="do")
    async def do_it(self, word: str) -> None:
        """Does a step."""
        await self.saga.step(STEPS[word], Plan(do=()))

    @workflow.signal
    async def send(self) -> None:
        """Begins a child."""
        await self.saga.child(LateListener.run, Plan(do=()), name="late")

    @workflow.signal
    async def both(self) -> None:
        """Does two at a time."""
        one, other = (self.saga.step(STEPS[word], Plan(do=())) for word in ("flight", "car"))
        await self.saga.parallel(one, other)

    @workflow.signal
    async def again(self) -> None:
        """Has the saga go on in a new run."""
        await self.saga.continue_as_new(Plan(do=(), done=("hotel",)))

    @workflow.update
    async def again_at_once(self) -> None:
        """Would like to, and cannot."""
        await self.again()

    @workflow.signal
    @with_a_word
    def adorned(self, plan: Plan, word: str) -> None:
        """Is called with more than what comes."""
        self.has_gone |= bool(plan) and word == "go"

    @workflow.signal
    async def visit(self, plan: Plan, task_queue: str | None = None) -> None:
        """Begins one that does as it is told."""
        await self.saga.child(TripSaga.run, plan, name="leg", task_queue=task_queue)

    @workflow.signal
    def visit_beside(self, plan: Plan) -> None:
        """Begins it in a task of the workflow's own."""
        self.beside = asyncio.create_task(self.saga.child(TripSaga.run, plan, name="leg"))

    @workflow.signal
    def plan(self, plan: "Plan | None") -> None:
        """Looks into a message, if there is any."""
        self.has_gone |= plan is None or "go" in plan.do

    @workflow.signal
    def hint(self, plan: Plan, word: str = "go") -> None:
        """Takes one or two."""
        self.has_gone |= bool(plan) and word == "go"

    @workflow.update
    async def add(self, word: str) -> str:
        """Does one, and says so."""
        await self.saga.step(STEPS[word], Plan(do=()))
        return word

    @workflow.update
    def has(self, plan: Plan) -> str:
        """Looks into a message, and says so."""
        return str(plan.done)

    @has.validator
    def _is_a_plan(self, plan: Plan) -> None:
        assert plan

    async def gone(self) -> None:
        await workflow.wait_condition(lambda: self.has_gone)


@workflow.defn
class Listener(_Listener):
    """Waits in its block, before the pivot or after it."""

    @workflow.run
    async def run(self, plan: Plan) -> str:
        async with Saga() as saga:
            self.saga = saga
            await saga.step(STEPS["hotel"], plan)
            if "pay" in plan.do:
                await saga.pivot(PIVOTS["pay"], plan)
            await self.gone()
        return "done"


@workflow.defn
class LastListener(_Listener):
    """Its pivot is the last thing in its block."""

    @workflow.run
    async def run(self, plan: Plan) -> str:
        async with Saga() as saga:
            self.saga = saga
            await saga.step(STEPS["hotel"], plan)
            await saga.pivot(PIVOTS["pay"], plan)
        return "done"


@workflow.defn
class SideListener(_Listener):
    """Has branches."""

    @workflow.run
    async def run(self, plan: Plan) -> str:
        async with Saga() as saga:
            self.saga = saga
            if not plan.done:
                await saga.parallel(saga.step(STEPS["hotel"], plan), saga.step(STEPS["flight"], plan))
            await self.gone()
        return "done"


@workflow.defn
class OtherListener(_Listener):
    """Has set another handler in place of a method."""

    @workflow.run
    async def run(self, plan: Plan) -> str:
        def take_two(word: str, other: str) -> None:
            self.has_gone |= word == other

        # Temporal types handlers loosely.
        workflow.set_signal_handler("do", take_two)  # pyright: ignore[reportUnknownMemberType]
        async with Saga() as saga:
            self.saga = saga
            await saga.step(STEPS["hotel"], plan)
            await self.gone()
        return "done"


@workflow.defn
class LateListener(_Listener):
    """Waits after its block."""

    @workflow.run
    async def run(self, plan: Plan) -> str:
        async with Saga() as saga:
            self.saga = saga
            await saga.step(STEPS["hotel"], plan)
        await self.gone()
        return "done"


@workflow.defn
class EarlyListener(_Listener):
    """Waits before its block, in its second run."""

    @workflow.run
    async def run(self, plan: Plan) -> str:
        if plan.done:
            await self.gone()
        async with Saga() as saga:
            self.saga = saga
            if not plan.done:
                await saga.step(STEPS["hotel"], plan)
                await saga.continue_as_new(plan.model_copy(update={"done": ("hotel",)}))
            await saga.step(STEPS["flight"], plan)
        return "done"


@workflow.defn(failure_exception_types=[Exception])
class Strict:
    """Closes with errors that others would be mended for."""

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
        raise ValueError("a bug behind the block")


@workflow.defn(name="Changed", failure_exception_types=[workflow.NondeterminismError])
class Unchanged(_Listener):
    """Closes when its code has changed under it."""

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["hotel"], plan)
            await self.gone()


@workflow.defn(name="Changed", failure_exception_types=[workflow.NondeterminismError])
class Changed(_Listener):
    """So it has."""

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["car"], plan)
            await self.gone()


@workflow.defn
class Parent:
    """Has one of the others as its child."""

    @workflow.run
    async def run(self, plan: Plan) -> None:
        async with Saga() as saga:
            await saga.step(STEPS["flight"], plan)
            match plan.do[0]:
                case "listener":
                    await saga.child(Listener.run, plan, name="leg")
                case "late":
                    await saga.child(LateListener.run, plan, name="leg")
                case "changed":
                    await saga.child(Unchanged.run, plan, name="leg")
                case _:
                    await saga.child(Strict.run, plan, name="leg")


LISTENERS: list[type] = [
    *(Listener, LastListener, SideListener, OtherListener, LateListener, EarlyListener),
    *(Strict, Unchanged, Parent),
]
