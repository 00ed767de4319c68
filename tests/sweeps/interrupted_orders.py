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

from examples.order.saga import OrderSaga
from examples.order.scenarios import CANCELLED_AFTER_RECEIPT_NOTICES, ORDER_EFFECTS, ORDER_NOTICES
from examples.payment.saga import PaymentSaga
from examples.stack.end_state import NO_EFFECTS, EndState
from examples.stack.stack import Stack
from sagas.operator import Rescue, RescueDecision, SagaClient, VerbRefusedError
from tests.waiting import until

from .cancel_points import Moment, When
from .order_batches import PATIENCE, SHIPPED, Wave, Whole, lengths
from .order_with_timeout import LimitedOrderSaga
from .saga_histories import (
    ACTIVITY_SCHEDULED,
    CANCEL_REQUESTED,
    CHILD_COMPLETED,
    CHILD_STARTED,
    CUT_OFF,
    FAILED,
    LOST,
    closes,
    common_prefix,
    family,
)
from .strict_replay import replay_strictly

AT_ONCE = 5
"""Orders that come to their points, or are rescued, at the same time: a server that needs more than a second
to hand out a task may lose it."""


ATTEMPTS = 3
"""How often an order is brought to a point, as the server loses a task now and then on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class Cut:
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
    cut_off: Callable[["CutOrder"], Awaitable[None]]


async def cut_off_everywhere(stack: Stack, wholes: tuple[Whole, ...], folder: Path, cut: Cut) -> list[str]:
    """Cuts off an order at every point that there is, rescues it twice, and reports what that came to."""
    points = [(whole, moment) for whole in wholes for moment in whole.moments]
    every: list[CutOrder] = []
    async with asyncio.timeout(PATIENCE):
        for attempt in range(ATTEMPTS):
            orders = await _cut_off(stack, points, folder / f"{attempt}", cut)
            every += [order for order in orders if not order.is_astray]
            points = [(order.whole, order.moment) for order in orders if order.is_astray]
            if not points:
                break
    return [_covered(whole, [order for order in every if order.whole is whole], cut) for whole in wholes]


async def _cut_off(
    stack: Stack, points: Sequence[tuple[Whole, Moment]], folder: Path, cut: Cut
) -> "list[CutOrder]":
    """Cuts off an order at each of these points; one that did not come there has gone astray."""
    turn, some = asyncio.Lock(), asyncio.Semaphore(AT_ONCE)

    async def run(order: CutOrder) -> None:
        async with some:
            await order.wave.start_order(order.id)
            await order.wave.until_there(order.id)
        await cut.cut_off(order)
        await order.check_cut()
        if not order.is_astray:
            async with some:
                await order.rescue_twice()

    async def run_wave(wave: Wave, orders: list[CutOrder]) -> None:
        async with AsyncExitStack() as exits:
            async with turn:
                exits.callback(wave.worker.kill)
                await wave.start_worker()
            await asyncio.gather(*(run(order) for order in orders))

    every: list[CutOrder] = []
    async with asyncio.TaskGroup() as waves:
        for start in range(0, len(points), cut.in_a_wave):
            part = points[start : start + cut.in_a_wave]
            held = [(whole.postal_code, moment) for whole, moment in part]
            wave = Wave(
                stack, folder.with_name(f"{folder.name}-from-{start}"), held, time_limit=cut.time_limit
            )
            orders = [CutOrder(stack, wave, i, *point) for i, point in zip(wave.sagas, part, strict=True)]
            waves.create_task(run_wave(wave, orders))
            every += orders
    return every


def _covered(whole: Whole, orders: "list[CutOrder]", cut: Cut) -> str:
    """Makes sure that every point was hit, and tells of it."""
    for line in whole.lines:
        after = {order.cut_after for order in orders if order.moment.path == line.path}
        assert after == lengths(line), f"not cut off after {lengths(line) ^ after}"
    courses = Counter(order.course.value for order in orders)
    return f"{cut.what} of order {whole.postal_code}: {len(orders)} points; {dict(courses)}"


@dataclass(eq=False, repr=False)
class CutOrder:
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
    wave: Wave
    id: str
    whole: Whole
    moment: Moment
    cut_after: int = 0
    is_astray: bool = False

    def __repr__(self) -> str:
        return f"{self.id} of {self.whole.postal_code}, {self.moment}"

    @property
    def course(self) -> RescueDecision:
        """What its rescue has to come to, told from the history that it would have had."""
        root = self.whole.lines[0].events
        begins = {_activity_id(e): e.event_id for e in root if e.event_type == ACTIVITY_SCHEDULED}
        ends = {_activity_id(root[closes(e) - 1]): e.event_id for e in root if closes(e)}
        # Its payment comes right before its shipment.
        at = begins["create-shipment"] - 1 if self.moment.path else self.moment.event
        if at < begins["create-order"]:
            return RescueDecision.NOTHING_PENDING
        if at < begins["create-shipment"]:
            return RescueDecision.COMPENSATING
        if self.whole.postal_code == SHIPPED or at < ends["create-shipment"]:
            return RescueDecision.CONTINUING
        return (
            RescueDecision.COMPENSATING
            if at < ends["compensate.create-order"]
            else RescueDecision.NOTHING_PENDING
        )

    @property
    def is_fulfilled(self) -> bool:
        """Whether it goes through in the end, as its pivot may be done and is not refused."""
        return self.course is RescueDecision.CONTINUING and self.whole.postal_code == SHIPPED

    @property
    def handle(self) -> Any:
        """Of its saga."""
        return self._handle(self.id)

    async def check_cut(self) -> None:
        """Makes sure that it was at its point when it was cut off, and no further."""
        with pytest.raises(WorkflowFailureError):
            await self.handle.result()
        root = await _events(self.handle)
        assert root[-1].event_type in CUT_OFF, self
        if self.moment.path and CHILD_STARTED not in [event.event_type for event in root]:
            self.is_astray = True
            return
        events = await _events(self.wave.held_workflow(self.id))
        so_far = events[: self.moment.event] + (root if self.moment.path else [])
        line = next(line for line in self.whole.lines if line.path == self.moment.path)
        self.cut_after = common_prefix(events, line.events)
        # A time limit may come before the order has come to its point, on a machine that is very busy.
        is_late = self.cut_after < self.moment.event and self.cut_after == len(events) - 1
        is_late |= bool(self.moment.held) and not self.wave.is_held(self.id)
        self.is_astray = is_late or any(event.event_type in LOST for event in so_far)
        if self.is_astray:
            self.wave.let_go(self.id)
            return
        # A task that was under way fails; a child that was under way may have ended.
        after = [event.event_type for event in events[self.cut_after :]]
        new = [kind for kind in after if kind not in {FAILED, CHILD_COMPLETED}]
        told = f"{self}: {self.cut_after}, then {[EventType.Name(kind) for kind in after]}"
        assert self.cut_after == self.moment.event, told
        if self.moment.path:
            assert new[:1] in ([], [CANCEL_REQUESTED]), told
        else:
            assert len(new) == 1, told
            assert new[0] in CUT_OFF, told

    async def rescue_twice(self) -> None:
        """Rescues it, looks at every service, and does so again."""
        is_overtaken = self.moment.when is When.BEGUN and not self.moment.path
        if not is_overtaken:
            self.wave.let_go(self.id)
        rescue = await self._rescue()
        assert (rescue.course, rescue.unaccounted) == (self.course, ()), self
        if rescue.workflow_id:
            await self._until_closed(rescue.workflow_id)
        ending = await self._ending()
        if is_overtaken:
            self.wave.let_go(self.id)
            await until(self.wave.note(self.id, "asked").exists, within=PATIENCE)
            # What was asked for before the rescue has no effect after it. Only what the customer is told
            # has no compensation that would keep it out; it is as true as it was.
            before, ending = ending, await self._ending()
            assert replace(ending, notices=before.notices) == before, self
        if self.is_fulfilled:
            with pytest.raises(VerbRefusedError, match="completed"):
                await self._rescue()
        else:
            again = rescue.model_copy(update={"is_new": not rescue.workflow_id})
            if self.course is RescueDecision.CONTINUING:
                # Its pivot was refused, so it has compensated by itself since.
                again = Rescue(saga=self.id, course=RescueDecision.NOTHING_PENDING)
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
            if self.course is not RescueDecision.CONTINUING or self.is_fulfilled:
                raise

    async def _ending(self) -> EndState:
        """What the services hold of it, which is all of it or nothing."""
        ending = await self.wave.ending(self.id)
        assert (ending.effects, ending.unbalanced) == (
            ORDER_EFFECTS if self.is_fulfilled else NO_EFFECTS,
            (),
        ), self
        # Nobody is told anything twice; a rescue tells the customer nothing.
        may_be_told = tuple(each for each in CANCELLED_AFTER_RECEIPT_NOTICES if each in ending.notices)
        assert ending.notices == (ORDER_NOTICES if self.is_fulfilled else may_be_told), self
        return ending

    async def _replay(self, rescue: Rescue) -> None:
        """Replays the last run of the saga, its child, and its rescue."""
        children = [line.history for line in await family(self.stack.client, self.id) if line.path]
        others = [rescue.workflow_id] if rescue.course is RescueDecision.COMPENSATING else []
        histories = [await self._handle(each).fetch_history() for each in (self.id, *others)]
        saga = LimitedOrderSaga if self.wave.time_limit else OrderSaga
        await replay_strictly([saga, PaymentSaga], [*histories, *children])

    def _handle(self, workflow_id: str) -> Any:
        return self.stack.client.get_workflow_handle(workflow_id)


async def _events(handle: Any) -> list[HistoryEvent]:
    return list((await handle.fetch_history()).events)


def _activity_id(event: HistoryEvent) -> str:
    return event.activity_task_scheduled_event_attributes.activity_id
