"""An order runs into a time limit of the server at every point of its life, and is rescued from there."""

import asyncio
from collections import Counter
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
from examples.payment.saga import PaymentSaga
from sagas import Rescue, SagaClient, VerbRefusedError
from sagas._operator.rescuing import Course
from tests.waiting import until

from .histories import (
    ACTIVITY_SCHEDULED,
    CANCEL_REQUESTED,
    CHILD_COMPLETED,
    FAILED,
    TIMED_OUT,
    closes,
    common_prefix,
    family,
)
from .limited_order import LimitedOrderSaga
from .moments import Moment, When
from .recorded import replay_strictly
from .waves import PATIENCE, SHIPPED, Wave, Whole, lengths

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIME_LIMIT = timedelta(seconds=20)
"""Long enough to come to any point, and to go on to the end from there, though an attempt gets lost and is
only made again after ten seconds."""

IN_A_WAVE, AT_ONCE = 10, 5
"""Orders that share a worker, and orders that come to their points, or are rescued, at the same time: a
server that needs more than a second to hand out a task may lose it."""


async def test_an_order_that_ran_into_a_timeout_after_any_event_is_rescued(
    stack: Stack, wholes: tuple[Whole, ...], tmp_path: Path, report: list[str]
) -> None:
    """Either it is fulfilled, with every effect once, or nothing of it is left; asked twice, nothing more."""
    turn, some = asyncio.Lock(), asyncio.Semaphore(AT_ONCE)

    async def run_out_of_time(order: LateOrder) -> None:
        async with some:
            await order.wave.start_order(order.id)
            await order.wave.until_there(order.id)
        await order.until_cut_off()
        async with some:
            await order.rescue_twice()

    async def run_wave(wave: Wave, orders: list[LateOrder]) -> None:
        async with AsyncExitStack() as exits:
            async with turn:
                exits.callback(wave.worker.kill)
                await wave.start_worker()
            await asyncio.gather(*(run_out_of_time(order) for order in orders))

    late: list[LateOrder] = []
    points = [(whole, moment) for whole in wholes for moment in whole.moments]
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as waves:
        for start in range(0, len(points), IN_A_WAVE):
            part = points[start : start + IN_A_WAVE]
            held = [(whole.postal_code, moment) for whole, moment in part]
            wave = Wave(stack, tmp_path / f"from-{start}", held, time_limit=TIME_LIMIT)
            orders = [LateOrder(stack, wave, i, *point) for i, point in zip(wave.sagas, part, strict=True)]
            waves.create_task(run_wave(wave, orders))
            late += orders

    for whole in wholes:
        orders = [order for order in late if order.whole is whole]
        for line in whole.lines:
            cut = {order.cut_after for order in orders if order.moment.path == line.path}
            assert cut == lengths(line), f"not cut off after {lengths(line) ^ cut}"
        courses = Counter(order.course.value for order in orders)
        report.append(f"timeouts of order {whole.postal_code}: {len(orders)} points; {dict(courses)}")


@dataclass(eq=False, repr=False)
class LateOrder:
    """An order that is held at its point until its time is over, and rescued then.

    Args:
        stack: Where it runs.
        wave: Brings it to its point.
        id: Of its saga.
        whole: What would have become of it.
        moment: Its point.
        cut_after: How many events there were when its time was over, in its history or that of its child.
    """

    stack: Stack
    wave: Wave
    id: str
    whole: Whole
    moment: Moment
    cut_after: int = 0

    def __repr__(self) -> str:
        return f"{self.id} of {self.whole.postal_code}, {self.moment}"

    @property
    def course(self) -> Course:
        """What its rescue has to come to, told from the history that it would have had."""
        root = self.whole.lines[0].events
        begins = {_activity_id(e): e.event_id for e in root if e.event_type == ACTIVITY_SCHEDULED}
        ends = {_activity_id(root[closes(e) - 1]): e.event_id for e in root if closes(e)}
        # Its payment comes right before its shipment.
        at = begins["create-shipment"] - 1 if self.moment.path else self.moment.event
        if at < begins["create-order"]:
            return Course.NOTHING_OWED
        if at < begins["create-shipment"]:
            return Course.COMPENSATING
        if self.whole.postal_code == SHIPPED or at < ends["create-shipment"]:
            return Course.GOING_ON
        return Course.COMPENSATING if at < ends["compensate.create-order"] else Course.NOTHING_OWED

    @property
    def is_fulfilled(self) -> bool:
        """Whether it goes through in the end, as its pivot may be done and is not refused."""
        return self.course is Course.GOING_ON and self.whole.postal_code == SHIPPED

    async def until_cut_off(self) -> None:
        """Waits for the end of its time, and makes sure that it was at its point then, and no further."""
        root = self._handle(self.id)
        with pytest.raises(WorkflowFailureError):
            await root.result()
        assert (await _events(root))[-1].event_type == TIMED_OUT, self
        events = await _events(self.wave.held_workflow(self.id))
        line = next(line for line in self.whole.lines if line.path == self.moment.path)
        self.cut_after = common_prefix(events, line.events)
        # A task that was under way fails; a child that was under way may have ended.
        after = [event.event_type for event in events[self.cut_after :]]
        new = [kind for kind in after if kind not in {FAILED, CHILD_COMPLETED}]
        told = f"{self}: {self.cut_after}, then {[EventType.Name(kind) for kind in after]}"
        assert self.cut_after == self.moment.event, told
        assert new == [TIMED_OUT] if not self.moment.path else new[:1] in ([], [CANCEL_REQUESTED]), told

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
            assert replace(ending, told=before.told) == before, self
        if self.is_fulfilled:
            with pytest.raises(VerbRefusedError, match="completed"):
                await self._rescue()
        else:
            again = rescue.model_copy(update={"is_new": not rescue.workflow_id})
            if self.course is Course.GOING_ON:
                # Its pivot was refused, so it has compensated by itself since.
                again = Rescue(saga=self.id, course=Course.NOTHING_OWED)
            assert await self._rescue() == again, self
        assert await self._ending() == ending, self
        await self._replay(rescue)

    async def _rescue(self) -> Rescue:
        return await SagaClient(self.stack.client).rescue(self.id, by="mia", because="its time was over")

    async def _until_closed(self, workflow_id: str) -> None:
        try:
            await self._handle(workflow_id).result()
        except WorkflowFailureError:
            # Only the saga itself may fail, as it does when its pivot is refused.
            if self.course is not Course.GOING_ON or self.is_fulfilled:
                raise

    async def _ending(self) -> Ending:
        """What the services hold of it, which is all of it or nothing."""
        ending = await self.wave.ending(self.id)
        assert (ending.effects, ending.broken) == (COMPLETED if self.is_fulfilled else NOTHING, ()), self
        # Nobody is told anything twice; a rescue tells the customer nothing.
        may_be_told = tuple(each for each in CANCELLED_AFTER_RECEIPT if each in ending.told)
        assert ending.told == (ORDER_TOLD if self.is_fulfilled else may_be_told), self
        return ending

    async def _replay(self, rescue: Rescue) -> None:
        """Replays the last run of the saga, its child, and its rescue."""
        children = [line.history for line in await family(self.stack.client, self.id) if line.path]
        others = [rescue.workflow_id] if rescue.course is Course.COMPENSATING else []
        histories = [await self._handle(each).fetch_history() for each in (self.id, *others)]
        await replay_strictly([LimitedOrderSaga, PaymentSaga], [*histories, *children])

    def _handle(self, workflow_id: str) -> Any:
        return self.stack.client.get_workflow_handle(workflow_id)


async def _events(handle: Any) -> list[HistoryEvent]:
    return list((await handle.fetch_history()).events)


def _activity_id(event: HistoryEvent) -> str:
    return event.activity_task_scheduled_event_attributes.activity_id
