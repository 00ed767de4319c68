"""Orders that are held at their points, cut off there, and rescued twice."""

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

from examples.compare.endings import COMPLETED, NOTHING, Ending
from examples.compare.scenarios import CANCELLED_AFTER_RECEIPT, ORDER_TOLD
from examples.compare.stack import Stack
from examples.order.saga import OrderSaga
from examples.payment.saga import PaymentSaga
from sagas import Rescue, SagaClient, VerbRefusedError
from sagas.operator._rescue import RescueDecision
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
    common_prefix,
    fetch_run_histories,
    scheduled_event_of,
)
from ..strict_replay import replay_strictly
from .order_batches import PATIENCE, SHIPPED, OrderBatch, UndisturbedOrder, lengths
from .order_with_run_timeout import OrderSagaWithRunTimeout

AT_ONCE = 5
"""Orders that come to their points, or are rescued, at the same time: a server that needs more than a second
to hand out a task may lose it."""


ATTEMPTS = 3
"""How often an order is brought to a point, as the server loses a task now and then on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class Interruption:
    """How orders are cut off.

    Args:
        what: In the plural, for the report.
        in_a_wave: How many share a worker.
        time_limit: After which the server does it.
        cut_off: Does it.
    """

    what: str
    in_a_wave: int
    time_limit: timedelta | None = None
    cut_off: Callable[["InterruptedOrder"], Awaitable[None]]


async def interrupt_at_every_point(
    stack: Stack, undisturbed_orders: tuple[UndisturbedOrder, ...], folder: Path, cut: Interruption
) -> list[str]:
    """Cuts off an order at every point that there is, rescues it twice, and reports what that came to."""
    order_points = [
        (undisturbed_order, point)
        for undisturbed_order in undisturbed_orders
        for point in undisturbed_order.points
    ]
    every: list[InterruptedOrder] = []
    async with asyncio.timeout(PATIENCE):
        for attempt in range(ATTEMPTS):
            orders = await _cut_off(stack, order_points, folder / f"{attempt}", cut)
            every += [order for order in orders if not order.is_astray]
            order_points = [(order.undisturbed_order, order.point) for order in orders if order.is_astray]
            if not order_points:
                break
    return [
        _covered(
            undisturbed_order, [order for order in every if order.undisturbed_order is undisturbed_order], cut
        )
        for undisturbed_order in undisturbed_orders
    ]


async def _cut_off(
    stack: Stack,
    order_points: Sequence[tuple[UndisturbedOrder, InterruptionPoint]],
    folder: Path,
    cut: Interruption,
) -> "list[InterruptedOrder]":
    """Cuts off an order at each of these points; one that did not come there has gone astray."""
    turn, some = asyncio.Lock(), asyncio.Semaphore(AT_ONCE)

    async def run(order: InterruptedOrder) -> None:
        async with some:
            await order.batch.start_order(order.id)
            await order.batch.until_there(order.id)
        await cut.cut_off(order)
        await order.check_cut()
        if not order.is_astray:
            async with some:
                await order.rescue_twice()

    async def run_wave(batch: OrderBatch, orders: list[InterruptedOrder]) -> None:
        async with AsyncExitStack() as exits:
            async with turn:
                exits.callback(batch.worker.kill)
                await batch.start_worker()
            await asyncio.gather(*(run(order) for order in orders))

    every: list[InterruptedOrder] = []
    async with asyncio.TaskGroup() as batches:
        for start in range(0, len(order_points), cut.in_a_wave):
            part = order_points[start : start + cut.in_a_wave]
            held = [(undisturbed_order.postal_code, point) for undisturbed_order, point in part]
            batch = OrderBatch(
                stack, folder.with_name(f"{folder.name}-from-{start}"), held, time_limit=cut.time_limit
            )
            orders = [
                InterruptedOrder(stack, batch, i, *order_point)
                for i, order_point in zip(batch.sagas, part, strict=True)
            ]
            batches.create_task(run_wave(batch, orders))
            every += orders
    return every


def _covered(undisturbed_order: UndisturbedOrder, orders: "list[InterruptedOrder]", cut: Interruption) -> str:
    """Makes sure that every point was hit, and tells of it."""
    for run_history in undisturbed_order.run_histories:
        after = {order.cut_after for order in orders if order.point.path == run_history.path}
        assert after == lengths(run_history), f"not cut off after {lengths(run_history) ^ after}"
    courses = Counter(order.course.value for order in orders)
    return f"{cut.what} of order {undisturbed_order.postal_code}: {len(orders)} points; {dict(courses)}"


@dataclass(eq=False, repr=False)
class InterruptedOrder:
    """An order that is held at its point until it is cut off, and rescued then.

    Args:
        stack: Where it runs.
        wave: Brings it to its point.
        id: Of its saga.
        whole: What would have become of it.
        moment: Its point.
        cut_after: How many events there were then, in its history or that of its child.
        is_astray: Whether it never came to its point: the server lost a task of it, so that its history is
            another one, or its time was over before.
    """

    stack: Stack
    batch: OrderBatch
    id: str
    undisturbed_order: UndisturbedOrder
    point: InterruptionPoint
    cut_after: int = 0
    is_astray: bool = False

    def __repr__(self) -> str:
        return f"{self.id} of {self.undisturbed_order.postal_code}, {self.point}"

    @property
    def course(self) -> RescueDecision:
        """What its rescue has to come to, told from the history that it would have had."""
        root = self.undisturbed_order.run_histories[0].events
        begins = {_activity_id(e): e.event_id for e in root if e.event_type == ACTIVITY_SCHEDULED}
        ends = {
            _activity_id(root[scheduled_event_of(e) - 1]): e.event_id for e in root if scheduled_event_of(e)
        }
        # Its payment comes right before its shipment.
        at = begins["create-shipment"] - 1 if self.point.path else self.point.event
        if at < begins["create-order"]:
            return RescueDecision.NOTHING_OWED
        if at < begins["create-shipment"]:
            return RescueDecision.COMPENSATING
        if self.undisturbed_order.postal_code == SHIPPED or at < ends["create-shipment"]:
            return RescueDecision.GOING_ON
        return (
            RescueDecision.COMPENSATING
            if at < ends["compensate.create-order"]
            else RescueDecision.NOTHING_OWED
        )

    @property
    def is_fulfilled(self) -> bool:
        """Whether it goes through in the end, as its pivot may be done and is not refused."""
        return self.course is RescueDecision.GOING_ON and self.undisturbed_order.postal_code == SHIPPED

    @property
    def handle(self) -> Any:
        """Of its saga."""
        return self._handle(self.id)

    async def check_cut(self) -> None:
        """Makes sure that it was at its point when it was cut off, and no further."""
        with pytest.raises(WorkflowFailureError):
            await self.handle.result()
        root = await _events(self.handle)
        assert root[-1].event_type in CLOSED_BY_SERVER, self
        if self.point.path and CHILD_STARTED not in [event.event_type for event in root]:
            self.is_astray = True
            return
        events = await _events(self.batch.held_workflow(self.id))
        so_far = events[: self.point.event] + (root if self.point.path else [])
        run_history = next(
            run_history
            for run_history in self.undisturbed_order.run_histories
            if run_history.path == self.point.path
        )
        self.cut_after = common_prefix(events, run_history.events)
        # A time limit may come before the order has come to its point, on a machine that is very busy.
        is_late = self.cut_after < self.point.event and self.cut_after == len(events) - 1
        is_late |= bool(self.point.held) and not self.batch.is_held(self.id)
        self.is_astray = is_late or any(event.event_type in TASK_TIMED_OUT for event in so_far)
        if self.is_astray:
            self.batch.let_go(self.id)
            return
        # A task that was under way fails; a child that was under way may have ended.
        after = [event.event_type for event in events[self.cut_after :]]
        new = [kind for kind in after if kind not in {FAILED, CHILD_COMPLETED}]
        told = f"{self}: {self.cut_after}, then {[EventType.Name(kind) for kind in after]}"
        assert self.cut_after == self.point.event, told
        if self.point.path:
            assert new[:1] in ([], [CANCEL_REQUESTED]), told
        else:
            assert len(new) == 1, told
            assert new[0] in CLOSED_BY_SERVER, told

    async def rescue_twice(self) -> None:
        """Rescues it, looks at every service, and does so again."""
        is_overtaken = self.point.when is Timing.BEGUN and not self.point.path
        if not is_overtaken:
            self.batch.let_go(self.id)
        rescue = await self._rescue()
        assert (rescue.course, rescue.unaccounted) == (self.course, ()), self
        if rescue.workflow_id:
            await self._until_closed(rescue.workflow_id)
        ending = await self._ending()
        if is_overtaken:
            self.batch.let_go(self.id)
            await until(self.batch.note(self.id, "asked").exists, within=PATIENCE)
            # What was asked for before the rescue has no effect after it. Only what the customer is told
            # has no compensation that would keep it out; it is as true as it was.
            before, ending = ending, await self._ending()
            assert replace(ending, told=before.told) == before, self
        if self.is_fulfilled:
            with pytest.raises(VerbRefusedError, match="completed"):
                await self._rescue()
        else:
            again = rescue.model_copy(update={"is_new": not rescue.workflow_id})
            if self.course is RescueDecision.GOING_ON:
                # Its pivot was refused, so it has compensated by itself since.
                again = Rescue(saga=self.id, course=RescueDecision.NOTHING_OWED)
            assert await self._rescue() == again, self
        assert await self._ending() == ending, self
        await self._replay(rescue)

    async def _rescue(self) -> Rescue:
        return await SagaClient(self.stack.client).rescue(self.id, by="mia", because="it was cut off")

    async def _until_closed(self, workflow_id: str) -> None:
        try:
            await self._handle(workflow_id).result()
        except WorkflowFailureError:
            # Only the saga itself may fail, as it does when its pivot is refused.
            if self.course is not RescueDecision.GOING_ON or self.is_fulfilled:
                raise

    async def _ending(self) -> Ending:
        """What the services hold of it, which is all of it or nothing."""
        ending = await self.batch.ending(self.id)
        assert (ending.effects, ending.broken) == (COMPLETED if self.is_fulfilled else NOTHING, ()), self
        # Nobody is told anything twice; a rescue tells the customer nothing.
        may_be_told = tuple(each for each in CANCELLED_AFTER_RECEIPT if each in ending.told)
        assert ending.told == (ORDER_TOLD if self.is_fulfilled else may_be_told), self
        return ending

    async def _replay(self, rescue: Rescue) -> None:
        """Replays the last run of the saga, its child, and its rescue."""
        children = [
            run_history.history
            for run_history in await fetch_run_histories(self.stack.client, self.id)
            if run_history.path
        ]
        others = [rescue.workflow_id] if rescue.course is RescueDecision.COMPENSATING else []
        histories = [await self._handle(each).fetch_history() for each in (self.id, *others)]
        saga = OrderSagaWithRunTimeout if self.batch.time_limit else OrderSaga
        await replay_strictly([saga, PaymentSaga], [*histories, *children])

    def _handle(self, workflow_id: str) -> Any:
        return self.stack.client.get_workflow_handle(workflow_id)


async def _events(handle: Any) -> list[HistoryEvent]:
    return list((await handle.fetch_history()).events)


def _activity_id(event: HistoryEvent) -> str:
    return event.activity_task_scheduled_event_attributes.activity_id
