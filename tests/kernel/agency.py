"""A travel agency: participants that answer as a test says, and a saga that does what its plan says."""

import asyncio
import re
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from pydantic import BaseModel, ConfigDict
from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from sagas import (
    Action,
    CompensationOrder,
    Expected,
    Finding,
    OnFailure,
    Policy,
    RejectedError,
    Saga,
    SagaError,
    Scope,
    Step,
    action,
    idempotency_key,
)
from sagas._declarations.step import MethodAction

SOON = Policy(
    attempts=2,
    timeout=timedelta(seconds=20),
    pause=timedelta(milliseconds=20),
    longest_pause=timedelta(milliseconds=20),
)
ONCE = Policy(attempts=1, timeout=timedelta(seconds=20))
IMPATIENT = Policy(attempts=1, timeout=timedelta(milliseconds=500))
PATIENT = Policy(attempts=1, pause=timedelta(minutes=5), longest_pause=timedelta(minutes=5))
HURRIED = Policy(attempts=2, timeout=timedelta(seconds=20), taken_within=timedelta(milliseconds=200))
DESERTED = Policy(
    attempts=2, timeout=timedelta(seconds=1), pause=timedelta(seconds=3), taken_within=timedelta(seconds=5)
)
BEATING = Policy(attempts=1, timeout=timedelta(seconds=20), heartbeat=timedelta(seconds=2))

Answer = Callable[[], Awaitable[object]]


class Plan(BaseModel):
    """What a saga does, word by word; a plan in a plan is a child saga."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    do: tuple["str | Plan", ...]
    name: str = "leg"
    scope: Scope = Scope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE
    seconds: float | None = None
    """The deadline of the saga."""
    is_pivot: bool = False
    legs: tuple["Plan", ...] = ()
    """Children that run in branches, by their names."""
    done: tuple[str, ...] = ()
    """What was done before it continued as new."""


class Booking(BaseModel):
    """Something is booked."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    number: str


class Gate:
    """Holds an activity until the test lets it go."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()

    async def hold(self) -> None:
        """Waits, and hears no cancel."""
        self.entered.set()
        await self.opened.wait()

    async def hold_and_break(self) -> None:
        """Waits, and then nobody knows whether it has happened."""
        await self.hold()
        await breaks(final=True)()

    async def hold_and_beat(self) -> None:
        """Waits, and reports that it is alive, so that a cancel reaches it."""
        self.entered.set()
        while not self.opened.is_set():
            activity.heartbeat()
            await asyncio.wait([asyncio.ensure_future(self.opened.wait())], timeout=0.05)


def answers(value: object) -> Answer:
    """The participant answers with `value`, whatever the operation declares."""

    async def answer() -> object:
        return value

    return answer


def refuses(code: str = "sold_out") -> Answer:
    """The participant refuses for good."""

    async def answer() -> object:
        raise RejectedError(code, f"{code}, sorry", "seat")

    return answer


def breaks(*, final: bool = False) -> Answer:
    """The participant is broken: nobody knows whether it happened."""

    async def answer() -> object:
        raise ApplicationError("the line is dead", type="Broken", non_retryable=final)

    return answer


class Agency:
    """What the participants did, in their order: `+name` when it began, `-name` when it ended well."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.keys: defaultdict[str, list[str]] = defaultdict(list)
        self.results: list[Booking | None] = []
        self._script: defaultdict[str, deque[Answer]] = defaultdict(deque)

    def when(self, operation: str, *script: Answer) -> None:
        """The next calls of `operation` are answered so; later ones succeed."""
        self._script[operation].extend(script)

    def hold(self, operation: str) -> Gate:
        """The next call of `operation` is held; it hears no cancel."""
        gate = Gate()
        self.when(operation, gate.hold)
        return gate

    @property
    def story(self) -> list[str]:
        """What began, in this order."""
        return [line[1:] for line in self.log if line.startswith("+")]

    async def carry_out(self) -> object:
        """Does the operation that is running, as its script says."""
        info = activity.info()
        assert info.workflow_id is not None
        name = info.activity_type
        self.log.append(f"+{name}")
        key = idempotency_key(info.workflow_id, info.activity_id)
        self.calls.append((name, key))
        self.keys[name].append(key)
        script = self._script[name]
        result = await script.popleft()() if script else None
        self.log.append(f"-{name}")
        return result if result is not None else Booking(number=f"{name}-1")

    def activities(self) -> list[Callable[..., object]]:
        """Everything that a worker of the agency needs."""
        return [
            self.book_hotel,
            self.cancel_hotel,
            self.book_flight,
            self.cancel_flight,
            self.book_car,
            self.cancel_car,
            self.look_around,
            self.pay,
            self.send_ticket,
            self.tell_customer,
            self.find_hotel,
            self.find_payment,
        ]

    @activity.defn(name="book-hotel")
    async def book_hotel(self, plan: Plan) -> Booking:
        return await self.carry_out()  # type: ignore[return-value] # a script may lie about its type

    @activity.defn(name="cancel-hotel")
    async def cancel_hotel(self, plan: Plan, booking: Booking | None) -> None:
        self.results.append(booking)
        await self.carry_out()

    @activity.defn(name="book-flight")
    async def book_flight(self, plan: Plan) -> Booking:
        return await self.carry_out()  # type: ignore[return-value] # a script may lie about its type

    @activity.defn(name="cancel-flight")
    async def cancel_flight(self, plan: Plan) -> None:
        await self.carry_out()

    @activity.defn(name="book-car")
    async def book_car(self, plan: Plan) -> Booking:
        return await self.carry_out()  # type: ignore[return-value] # a script may lie about its type

    @activity.defn(name="cancel-car")
    async def cancel_car(self, plan: Plan) -> None:
        await self.carry_out()

    @activity.defn(name="look-around")
    async def look_around(self, plan: Plan) -> None:
        await self.carry_out()

    @activity.defn(name="pay")
    async def pay(self, plan: Plan) -> Booking | None:
        return await self.carry_out()  # type: ignore[return-value] # a script may lie about its type

    @activity.defn(name="send-ticket")
    async def send_ticket(self, plan: Plan) -> None:
        await self.carry_out()

    @activity.defn(name="find-hotel")
    async def find_hotel(self, plan: Plan) -> Finding[Booking]:
        return await self.carry_out()  # type: ignore[return-value] # a script says what is found

    @activity.defn(name="find-payment")
    async def find_payment(self, plan: Plan) -> Finding[Booking]:
        return await self.carry_out()  # type: ignore[return-value] # a script says what is found

    @activity.defn(name="tell-customer")
    async def tell_customer(self, plan: Plan) -> None:
        await self.carry_out()


STEPS: dict[str, Step[Plan, Any]] = {
    "hotel": action(Agency.book_hotel, policy=SOON).compensated_by(Agency.cancel_hotel, policy=SOON),
    "flight": action(Agency.book_flight, policy=ONCE).compensated_by(Agency.cancel_flight, policy=ONCE),
    "car": action(Agency.book_car, policy=BEATING).compensated_by(Agency.cancel_car, policy=ONCE),
    "late-car": action(Agency.book_car, policy=IMPATIENT).compensated_by(Agency.cancel_car, policy=ONCE),
    "far-car": action(Agency.book_car, policy=SOON, task_queue="nobody").compensated_by(
        Agency.cancel_car, policy=ONCE
    ),
    "once-far-car": action(Agency.book_car, policy=ONCE, task_queue="nobody").compensated_by(
        Agency.cancel_car, policy=ONCE
    ),
    "probed-hotel": action(
        Agency.book_hotel, name="probed-hotel", policy=ONCE, probe=Agency.find_hotel
    ).compensated_by(Agency.cancel_hotel, policy=ONCE),
    "limited-car": action(
        Agency.book_car, policy=replace(SOON, deadline=timedelta(milliseconds=200)), task_queue="nobody"
    ).compensated_by(Agency.cancel_car, policy=ONCE),
    "lonely-hotel": action(Agency.book_hotel, policy=ONCE).compensated_by(
        Agency.cancel_hotel, policy=HURRIED, task_queue="nobody"
    ),
    "deserted-hotel": action(Agency.book_hotel, policy=ONCE).compensated_by(
        Agency.cancel_hotel, policy=DESERTED, task_queue="nobody"
    ),
    "lonely-car": action(
        Agency.book_car, policy=HURRIED, probe=Agency.find_hotel, task_queue="nobody"
    ).compensated_by(Agency.cancel_car, policy=ONCE),
    "urgent-hotel": action(Agency.book_hotel, policy=replace(ONCE, priority=1)).compensated_by(
        Agency.cancel_hotel, policy=replace(ONCE, priority=5)
    ),
    "look": action(Agency.look_around, policy=ONCE).without_compensation(because="it changes nothing"),
    "ticket": action(Agency.send_ticket, policy=ONCE).without_compensation(because="it is paid"),
}
PIVOTS: dict[str, Action[Plan, Any] | MethodAction[Any, Plan, Any]] = {
    "pay": action(Agency.pay, policy=SOON),
    "pay-once": action(Agency.pay, policy=ONCE),
    "pay-probed": action(Agency.pay, policy=ONCE, probe=Agency.find_payment),
    "pay-beating": action(Agency.pay, policy=BEATING),
    "pay-patient": action(Agency.pay, policy=PATIENT),
    "pay-far": action(Agency.pay, policy=SOON, task_queue="nobody"),
    "pay-hurried": action(Agency.pay, policy=HURRIED),
}
OWN: dict[str, dict[str, Any]] = {
    "plain-activity": {},
    "same-id": {"activity_id": "book-hotel"},
    "abandoned": {"cancellation_type": workflow.ActivityCancellationType.ABANDON},
}
"""Activities of the workflow's own, with their options."""
TELL = action(Agency.tell_customer, policy=ONCE).without_compensation(because="it is the last word")
TELL_FAR = action(Agency.tell_customer, policy=ONCE, task_queue="nobody").without_compensation(
    because="it is the last word"
)


@workflow.defn
class TripSaga:
    """Does what its plan says, and nothing else."""

    visa: Expected[Booking]

    def __init__(self) -> None:
        self.has_gone = False

    @workflow.signal
    def go(self) -> None:
        """Ends `wait`."""
        self.has_gone = True

    @workflow.run
    async def run(self, plan: Plan) -> list[str]:
        done = list(plan.done)
        if "nap-outside" in plan.do:
            await workflow.sleep(timedelta(milliseconds=300))
        limit = None if plan.seconds is None else timedelta(seconds=plan.seconds)
        async with Saga(scope=plan.scope, order=plan.order, deadline=limit) as saga:
            self.visa = saga.expect("visa", Booking)
            for place, word in enumerate(plan.do):
                if word == "again":
                    rest = plan.model_copy(update={"do": plan.do[place + 1 :], "done": (*done, word)})
                    await saga.continue_as_new(rest)
                if word not in ("then-outside", "fail-outside", "nap-outside"):
                    await self._do(saga, plan, word)
                done.append(word.name if isinstance(word, Plan) else word)
        if "then-outside" in plan.do:
            await workflow.wait_condition(lambda: self.has_gone)
        if "fail-outside" in plan.do:
            raise ApplicationError("the plan says so", type="Planned")
        return done

    async def _do(self, saga: Saga, plan: Plan, word: "str | Plan") -> None:
        if isinstance(word, Plan) and word.is_pivot:
            await saga.pivot_child(TripSaga.run, word, name=word.name)
        elif isinstance(word, Plan):
            await saga.child(TripSaga.run, word, name=word.name)
        elif word in PIVOTS:
            await saga.pivot(PIVOTS[word], plan)
        elif word in STEPS:
            await saga.step(STEPS[word], plan)
        elif word in ("tell", "tell-far", "again", "second-saga"):
            await self._do_to_saga(saga, plan, word)
        elif word in ("broken-child", "careless-child", "big-child"):
            await self._do_child(saga, plan, word)
        elif re.search(r"[|/+]|^(perhaps-|anyway-|unawaited-|visa|boss|big-|no-json)", word):
            await self._do_otherwise(saga, plan, word)
        elif word in OWN:
            await workflow.execute_activity(
                "book-car", plan, start_to_close_timeout=timedelta(seconds=20), **OWN[word]
            )
        else:
            await self._wait_or_fail(plan, word)

    async def _do_to_saga(self, saga: Saga, plan: Plan, word: str) -> None:
        if word in ("tell", "tell-far"):
            saga.after_compensation(TELL if word == "tell" else TELL_FAR, plan)
        elif word == "again":
            await saga.continue_as_new(plan)
        else:
            async with Saga():
                await asyncio.sleep(0)

    async def _do_child(self, saga: Saga, plan: Plan, word: str) -> None:
        if word == "broken-child":
            await saga.child(NumberlessSaga.run, plan, name="broken")
        elif word == "careless-child":
            await saga.child(CarelessChild.run, plan, name="careless")
        else:
            await saga.child(TripSaga.run, plan.model_copy(update={"name": "x" * 1_100_000}), name="big")

    async def _do_otherwise(self, saga: Saga, plan: Plan, word: str) -> None:
        """A step that may fail, in branches, or a wait for what comes from outside."""
        if "|" in word or "/" in word:
            both = re.split(r"[|/]", word)
            on_failure = OnFailure.CANCEL if "/" in word else OnFailure.FINISH
            await saga.parallel(*(self._branch(saga, plan, each) for each in both), on_failure=on_failure)
        elif "+" in word:
            await asyncio.gather(*(self._do(saga, plan, each) for each in word.split("+")))
        elif word.startswith("unawaited-"):
            self.beside = asyncio.create_task(self._do(saga, plan, word.removeprefix("unawaited-")))
        elif word.startswith("perhaps-"):
            await saga.best_effort(STEPS[word.removeprefix("perhaps-")], plan)
        elif word.startswith("anyway-"):
            try:
                await self._do(saga, plan, word.removeprefix("anyway-"))
            except SagaError as error:
                workflow.logger.info("passed over: %s", error)
        elif word.startswith("big-"):
            size = int(word.removeprefix("big-"))
            await saga.step(STEPS["flight"], plan.model_copy(update={"name": "x" * size}))
        elif word == "no-json":
            await saga.step(STEPS["flight"], plan.model_copy(update={"name": object()}))
        else:
            limit = timedelta(seconds=float(word[4:] or 3600))
            if word.startswith("visa"):
                await saga.wait_for(self.visa, deadline=limit)
            else:
                await saga.approval("big-trip", role="boss", deadline=limit)

    async def _branch(self, saga: Saga, plan: Plan, words: str) -> str:
        """Several words in a row, in a branch."""
        for word in words.split(","):
            leg = next((each for each in plan.legs if each.name == word), None)
            await self._do(saga, plan, leg or word)
        return words

    async def _wait_or_fail(self, plan: Plan, word: str) -> None:
        match word:
            case "sleep":
                await workflow.sleep(timedelta(hours=1))
            case "nap":
                await workflow.sleep(timedelta(milliseconds=300))
            case "wait":
                await workflow.wait_condition(lambda: self.has_gone)
            case "wait-deaf":
                try:
                    await workflow.wait_condition(lambda: self.has_gone)
                except asyncio.CancelledError:
                    workflow.logger.info("a workflow that swallows its cancel")
            case "own-cancel":
                task = asyncio.ensure_future(workflow.sleep(timedelta(hours=1)))
                task.cancel()
                await task
            case "fail":
                raise ApplicationError("the plan says so", type="Planned")
            case "time-limit":
                try:
                    async with asyncio.timeout(0.2):
                        await workflow.sleep(timedelta(hours=1))
                except TimeoutError:
                    workflow.logger.info("the limit holds")
            case _:
                raise ValueError(word)


@workflow.defn
class NumberlessSaga:
    """A child whose result is not of its declared type."""

    @workflow.run
    async def run(self, plan: Plan) -> int:
        async with Saga() as saga:
            await saga.step(STEPS["flight"], plan)
        return cast("Any", "no number")  # type: ignore[no-any-return] # on purpose


@workflow.defn
class CarelessChild:
    """A child that does things, and fails without a saga."""

    @workflow.run
    async def run(self, plan: Plan) -> int:
        await workflow.execute_activity("book-car", plan, start_to_close_timeout=timedelta(seconds=20))
        raise ApplicationError("nobody makes up for the car", type="Careless")
