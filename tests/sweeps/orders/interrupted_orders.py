"""Orders that are paused at an interruption point, closed by the server there, and rescued twice."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowFailureError

from examples.order.saga import OrderSaga
from examples.order.scenarios import CANCELLED_AFTER_RECEIPT_NOTICES, ORDER_EFFECTS, ORDER_NOTICES
from examples.payment.saga import PaymentSaga
from examples.stack.end_state import NO_EFFECTS, EndState
from examples.stack.stack import Stack
from sagas.operator import Rescue, RescueDecision, SagaClient, VerbRefusedError
from tests.waiting import until

from ..interruption_points import InterruptionPoint, Timing
from ..saga_histories import (
    ACTIVITY_SCHEDULED,
    CANCEL_REQUESTED,
    CHILD_COMPLETED,
    CHILD_STARTED,
    CLOSED_BY_SERVER,
    FAILED,
    TASK_TIMED_OUT,
    common_length,
    fetch_run_histories,
    scheduled_event_of,
)
from ..strict_replay import replay_strictly
from .order_batches import PATIENCE, SHIPPED, BaselineOrder, OrderBatch, OrderCase
from .order_with_run_timeout import OrderSagaWithRunTimeout

AT_ONCE = 5
"""Orders that approach their points, or are rescued, at the same time. With more, the server needs more than
a second to dispatch a task, and such a task may time out."""


RUN_TIMEOUT = timedelta(seconds=20)
"""Long enough to reach any point, and to close from there although the server repeats a lost activity attempt
only after ten seconds."""

ATTEMPTS = 3
"""Orders for one point: on a busy machine a task may time out, and the order then misses the point."""


@dataclass(frozen=True, kw_only=True)
class Interruption:
    """An interruption after which the server closes the saga.

    Args:
        name: The plural, for the report.
        batch_size: The number of orders that share a worker.
        run_timeout: The run timeout of the sagas.
        interrupt: Interrupts an order.
    """

    name: str
    batch_size: int
    run_timeout: timedelta | None = None
    interrupt: Callable[["InterruptedOrder"], Awaitable[None]]


def termination() -> Interruption:
    """The interruption by an operator who terminates the workflow."""

    async def terminate(order: InterruptedOrder) -> None:
        await order.handle.terminate(reason="terminated by the test")

    return Interruption(name="terminations", batch_size=20, interrupt=terminate)


def run_timeout() -> Interruption:
    """The interruption by a run timeout."""

    async def wait_until_timed_out(order: InterruptedOrder) -> None:
        with pytest.raises(WorkflowFailureError):
            await order.handle.result()

    # While the orders of a batch wait for the timeout, the orders of the next batch reach their points.
    return Interruption(
        name="run timeouts", batch_size=10, run_timeout=RUN_TIMEOUT, interrupt=wait_until_timed_out
    )


async def interrupt_and_rescue(
    stack: Stack, cases: Sequence[OrderCase], folder: Path, interruption: Interruption
) -> list[str]:
    """Interrupts one order for each case, rescues each order twice, and reports the covered cases."""
    remaining = list(cases)
    every: list[InterruptedOrder] = []
    async with asyncio.timeout(PATIENCE):
        for attempt in range(ATTEMPTS):
            orders = await _interrupt(stack, remaining, folder / f"{attempt}", interruption)
            every += [order for order in orders if not order.has_missed_point]
            remaining = [(order.baseline, order.point) for order in orders if order.has_missed_point]
            if not remaining:
                break
    return _covered(every, cases, interruption)


async def _interrupt(
    stack: Stack, cases: Sequence[OrderCase], folder: Path, interruption: Interruption
) -> "list[InterruptedOrder]":
    """Interrupts one order for each case."""
    turn, some = asyncio.Lock(), asyncio.Semaphore(AT_ONCE)

    async def run(order: InterruptedOrder) -> None:
        async with some:
            await order.batch.start_order(order.id)
            await order.batch.wait_until_paused(order.id)
        await interruption.interrupt(order)
        await order.check_interruption()
        if not order.has_missed_point:
            async with some:
                await order.rescue_twice()

    async def run_batch(batch: OrderBatch, orders: list[InterruptedOrder]) -> None:
        async with AsyncExitStack() as exits:
            async with turn:
                exits.callback(batch.worker.kill)
                await batch.start_worker()
            await asyncio.gather(*(run(order) for order in orders))

    every: list[InterruptedOrder] = []
    async with asyncio.TaskGroup() as batches:
        for start in range(0, len(cases), interruption.batch_size):
            part = cases[start : start + interruption.batch_size]
            batch = OrderBatch(
                stack,
                folder.with_name(f"{folder.name}-from-{start}"),
                [(baseline.postal_code, point) for baseline, point in part],
                run_timeout=interruption.run_timeout,
            )
            orders = [
                InterruptedOrder(stack, batch, saga_id, *case)
                for saga_id, case in zip(batch.sagas, part, strict=True)
            ]
            batches.create_task(run_batch(batch, orders))
            every += orders
    return every


def _covered(
    orders: "Sequence[InterruptedOrder]", cases: Sequence[OrderCase], interruption: Interruption
) -> list[str]:
    """Checks that the order of each case was interrupted at its point; returns the lines of the report."""
    interrupted = Counter((order.baseline.postal_code, order.point) for order in orders)
    assert interrupted == Counter((baseline.postal_code, point) for baseline, point in cases)
    lines: list[str] = []
    for postal_code in sorted({order.baseline.postal_code for order in orders}):
        decisions = Counter(
            order.expected_decision.value for order in orders if order.baseline.postal_code == postal_code
        )
        number = decisions.total()
        lines.append(f"{interruption.name} of order {postal_code}: {number} points; {dict(decisions)}")
    return lines


@dataclass(eq=False, repr=False)
class InterruptedOrder:
    """An order that is paused at an interruption point, then closed by the server, and then rescued.

    Args:
        stack: The running servers and services.
        batch: The batch with the paused order.
        id: The id of the saga.
        baseline: The undisturbed order.
        point: The interruption point.
        interrupted_after: The number of events at the interruption, in the history of the saga or child.
        has_missed_point: Whether the order never reached the point: the history differs because a task of the
            order timed out, or the run timeout expired before.
    """

    stack: Stack
    batch: OrderBatch
    id: str
    baseline: BaselineOrder
    point: InterruptionPoint
    interrupted_after: int = 0
    has_missed_point: bool = False

    def __repr__(self) -> str:
        return f"{self.id} of {self.baseline.postal_code}, {self.point}"

    @property
    def expected_decision(self) -> RescueDecision:
        """The decision of the rescue, derived from the history of the undisturbed order."""
        root = self.baseline.histories[0].events
        begins = {_activity_id(e): e.event_id for e in root if e.event_type == ACTIVITY_SCHEDULED}
        ends = {
            _activity_id(root[scheduled_event_of(e) - 1]): e.event_id for e in root if scheduled_event_of(e)
        }
        # The payment comes right before the shipment.
        at = begins["create-shipment"] - 1 if self.point.path else self.point.event
        if at < begins["create-order"]:
            return RescueDecision.NOTHING_PENDING
        if at < begins["create-shipment"]:
            return RescueDecision.COMPENSATING
        if self.baseline.postal_code == SHIPPED or at < ends["create-shipment"]:
            return RescueDecision.CONTINUING
        return (
            RescueDecision.COMPENSATING
            if at < ends["compensate.create-order"]
            else RescueDecision.NOTHING_PENDING
        )

    @property
    def is_fulfilled(self) -> bool:
        """Whether the order is shipped in the end: the pivot may be done, and is not rejected."""
        return self.expected_decision is RescueDecision.CONTINUING and self.baseline.postal_code == SHIPPED

    @property
    def handle(self) -> Any:
        """A handle of the saga."""
        return self._handle(self.id)

    async def check_interruption(self) -> None:
        """Checks that the order was interrupted at the point, and not later."""
        with pytest.raises(WorkflowFailureError):
            await self.handle.result()
        root = await _events(self.handle)
        assert root[-1].event_type in CLOSED_BY_SERVER, self
        if self.point.path and CHILD_STARTED not in [event.event_type for event in root]:
            self.has_missed_point = True
            return
        events = await _events(self.batch.paused_workflow(self.id))
        so_far = events[: self.point.event] + (root if self.point.path else [])
        history = next(history for history in self.baseline.histories if history.path == self.point.path)
        self.interrupted_after = common_length(events, history.events)
        # On a very busy machine the run timeout may expire before the order reaches the point.
        is_late = self.interrupted_after < self.point.event and self.interrupted_after == len(events) - 1
        is_late |= bool(self.point.blocked) and not self.batch.is_paused(self.id)
        self.has_missed_point = is_late or any(event.event_type in TASK_TIMED_OUT for event in so_far)
        if self.has_missed_point:
            self.batch.release(self.id)
            return
        # An open workflow task fails; an open child may have closed.
        after = [event.event_type for event in events[self.interrupted_after :]]
        new = [kind for kind in after if kind not in {FAILED, CHILD_COMPLETED}]
        found = f"{self}: {self.interrupted_after}, then {[EventType.Name(kind) for kind in after]}"
        assert self.interrupted_after == self.point.event, found
        if self.point.path:
            assert new[:1] in ([], [CANCEL_REQUESTED]), found
        else:
            assert len(new) == 1, found
            assert new[0] in CLOSED_BY_SERVER, found

    async def rescue_twice(self) -> None:
        """Rescues the order, checks every service, and does both again."""
        is_late_request = self.point.timing is Timing.ACTIVITY_STARTED and not self.point.path
        if not is_late_request:
            self.batch.release(self.id)
        rescue = await self._rescue()
        assert (rescue.decision, rescue.unresolved_children) == (self.expected_decision, ()), self
        if rescue.workflow_id:
            await self._until_closed(rescue.workflow_id)
        ending = await self._ending()
        if is_late_request:
            self.batch.release(self.id)
            await until(self.batch.note(self.id, "requested").exists, within=PATIENCE)
            # A request from before the rescue has no effect after the rescue. Only a notification of the
            # customer has no compensation that voids the key.
            before, ending = ending, await self._ending()
            assert replace(ending, notices=before.notices) == before, self
        if self.is_fulfilled:
            with pytest.raises(VerbRefusedError, match="completed"):
                await self._rescue()
        else:
            again = rescue.model_copy(update={"is_new": not rescue.workflow_id})
            if self.expected_decision is RescueDecision.CONTINUING:
                # The pivot was rejected, so the saga itself has compensated since.
                again = Rescue(saga_id=self.id, decision=RescueDecision.NOTHING_PENDING)
            assert await self._rescue() == again, self
        assert await self._ending() == ending, self
        await self._replay(rescue)

    async def _rescue(self) -> Rescue:
        return await SagaClient(self.stack.client).rescue(
            self.id, by="mia", because="the test has interrupted the saga"
        )

    async def _until_closed(self, workflow_id: str) -> None:
        try:
            await self._handle(workflow_id).result()
        except WorkflowFailureError:
            # Only the saga itself may fail: a rejected pivot fails the saga.
            if self.expected_decision is not RescueDecision.CONTINUING or self.is_fulfilled:
                raise

    async def _ending(self) -> EndState:
        """The state of the order in the services: all effects or none."""
        ending = await self.batch.ending(self.id)
        expected = ORDER_EFFECTS if self.is_fulfilled else NO_EFFECTS
        assert (ending.effects, ending.unbalanced) == (expected, ()), self
        # The customer gets each notification once, and none from a rescue.
        allowed = tuple(each for each in CANCELLED_AFTER_RECEIPT_NOTICES if each in ending.notices)
        assert ending.notices == (ORDER_NOTICES if self.is_fulfilled else allowed), self
        return ending

    async def _replay(self, rescue: Rescue) -> None:
        """Replays the last run of the saga, the child saga and the rescue."""
        children = [
            history.raw for history in await fetch_run_histories(self.stack.client, self.id) if history.path
        ]
        others = [rescue.workflow_id] if rescue.decision is RescueDecision.COMPENSATING else []
        histories = [await self._handle(each).fetch_history() for each in (self.id, *others)]
        saga = OrderSagaWithRunTimeout if self.batch.run_timeout else OrderSaga
        await replay_strictly([saga, PaymentSaga], [*histories, *children])

    def _handle(self, workflow_id: str) -> Any:
        return self.stack.client.get_workflow_handle(workflow_id)


async def _events(handle: Any) -> list[HistoryEvent]:
    return list((await handle.fetch_history()).events)


def _activity_id(event: HistoryEvent) -> str:
    return event.activity_task_scheduled_event_attributes.activity_id
