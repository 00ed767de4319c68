"""A run of a trip saga with a cancel at an interruption point, and the evidence of the run."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper

from sagas import start_saga
from tests.temporal.fixtures.section_saga import SectionSaga
from tests.temporal.fixtures.trip_saga import TripSaga, WrongResultSaga
from tests.temporal.fixtures.worker_harness import Ending, Handle, WorkerHarness

from ..interruption_points import AdmittedTasks, InterruptionPoint, Timing
from ..saga_histories import RunHistory, fetch_run_histories, scheduled_event_of
from ..stepped_worker import CHILD_QUEUE_SUFFIX, PATIENCE, GatedWorker, PausedTask, TaskGate
from .fenced_participants import FencedParticipants, PausedActivity
from .saga_family import SagaFamily
from .saga_shapes import SagaShape

LARGEST_DEPTH = 3
WORKFLOWS: list[type] = [TripSaga, WrongResultSaga, SectionSaga]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The ending, the histories and the effects of a run."""

    shape: SagaShape
    point: InterruptionPoint | None
    root_id: str
    ending: Ending
    histories: list[RunHistory]
    participants: FencedParticipants


@dataclass
class CancelledRun:
    """A run of a saga of a shape, cancelled at an interruption point.

    Args:
        client: The client of the saga and of the workers.
        shape: The shape of the saga.
        cache: The size of the workflow cache; with 0, every workflow task is a replay from the start.
        point: The interruption point; without a point, the run is undisturbed.
        depth: The number of generations of sagas.
    """

    client: Client
    shape: SagaShape
    cache: int
    point: InterruptionPoint | None = None
    depth: int = LARGEST_DEPTH
    root_id: str = field(default_factory=lambda: f"swept-{uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self._family = SagaFamily(self.client, self.root_id)
        self._participants = FencedParticipants(
            self.shape.responses,
            reply_order=self.shape.reply_order,
            tasks_before_reply=self.shape.tasks_before_reply,
        )
        point = self.point
        if point and point.blocked:
            workflow_id, activity_id, nth = point.blocked
            _, slash, path = workflow_id.partition("/")
            self._participants.paused_activity = PausedActivity(
                self.root_id + slash + path, activity_id, nth, point.timing is Timing.REPLY_PENDING
            )
        self._paused_task: PausedTask | None = None
        if point and point.timing is Timing.DURING_TASK:
            self._paused_task = PausedTask(self._family.id_of(point.path), point.event, point.run)
        self._gates: list[TaskGate] = []
        self._outside_may_act = asyncio.Event()

    async def run(self) -> Evidence:
        """Runs the saga until the workflow is closed, and returns the evidence."""
        try:
            async with asyncio.timeout(2 * PATIENCE):
                return await self._run()
        except (TimeoutError, AssertionError) as error:
            error.add_note(f"{self.shape.name}, cache {self.cache}, cancelled {self.point}: {self.root_id}")
            raise

    async def _run(self) -> Evidence:
        client = TimeSkipper(self.client).client if self.shape.skips_time else self.client
        async with AsyncExitStack() as workers:
            for depth in range(self.depth):
                await workers.enter_async_context(self._worker(depth))
            run = SectionSaga.run if self.shape.sections else TripSaga.run
            handle: Handle = await start_saga(
                client,
                cast("Callable[[Any, object], Awaitable[object]]", run),
                self.shape.plan,
                id=self.root_id,
                task_queue=self.root_id,
            )
            outside_task = asyncio.create_task(self._act_from_outside(handle))
            if self.point is None:
                self._outside_may_act.set()
            else:
                await self._cancel(handle, self.point)
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(handle.result(), return_exceptions=True)
            ending = await WorkerHarness(self.client, cache=self.cache).wait_for_ending(handle)
            if self.point and self.point.timing is Timing.AFTER_CLOSE:
                with suppress(RPCError):
                    await handle.cancel()
            outside_task.cancel()
            await asyncio.wait([outside_task])
            if not outside_task.cancelled():
                outside_task.result()
        histories = await fetch_run_histories(self.client, self.root_id)
        return Evidence(self.shape, self.point, self.root_id, ending, histories, self._participants)

    async def _act_from_outside(self, handle: Handle) -> None:
        if self.shape.external_act:
            await self._outside_may_act.wait()
            await self.shape.external_act(handle)

    @asynccontextmanager
    async def _worker(self, depth: int) -> AsyncIterator[None]:
        point = self.point
        worker = GatedWorker(
            tasks=self._gate(point.workflow_tasks if point else None, depth, self._participants.start_task),
            activities=self._gate(point.activity_tasks if point else None, depth),
            client=self.client,
            task_queue=self.root_id + CHILD_QUEUE_SUFFIX * depth,
            workflows=WORKFLOWS,
            calls=self._participants.activities(),
            paused=self._paused_task,
            cache=self.cache,
            is_sandboxed=self.shape.is_sandboxed,
        )
        async with worker.build():
            try:
                yield
            finally:
                self._release()

    def _gate(
        self,
        admitted: AdmittedTasks | None,
        depth: int,
        on_start: Callable[[], Callable[[], None]] = lambda: lambda: None,
    ) -> TaskGate:
        if admitted is None or admitted.depth != depth:
            return TaskGate(on_start=on_start)
        fresh = admitted.fresh if self.cache else admitted.fresh + admitted.sticky
        latch = TaskGate(fresh, admitted.sticky, on_start=on_start)
        self._gates.append(latch)
        return latch

    async def _cancel(self, handle: Handle, point: InterruptionPoint) -> None:
        if point.timing is not Timing.IDLE:
            self._outside_may_act.set()
        if point.timing is Timing.AFTER_CLOSE:
            return
        await self._reach(point)
        if point.path:
            await self._family.wait_until_parents_idle(point.path)
        await handle.cancel()
        if point.path:
            await self._family.wait_until_child_notified(point.path)
        self._outside_may_act.set()
        if point.timing is Timing.WITH_COMPLETION:
            self._release_activity()
            await self._family.wait_for_event(
                point.path, lambda event: scheduled_event_of(event) == point.scheduled_event, run=point.run
            )
        elif point.timing in (Timing.ACTIVITY_STARTED, Timing.REPLY_PENDING, Timing.ACTIVITY_QUEUED):
            await self._family.wait_until_cancel_processed(point.path, run=point.run)
        self._release()

    async def _reach(self, point: InterruptionPoint) -> None:
        async with asyncio.timeout(PATIENCE):
            if self._paused_task:
                await self._paused_task.entered.wait()
                return
            if paused := self._participants.paused_activity:
                await paused.latch.entered.wait()
            if not self.shape.reply_order or not paused:
                await self._family.wait_for_event(
                    point.path, lambda event: event.event_id == point.event, run=point.run
                )

    def _release_activity(self) -> None:
        if paused := self._participants.paused_activity:
            paused.latch.released.set()
            self._participants.release_order()

    def _release(self) -> None:
        self._release_activity()
        if self.point:
            self._participants.release_order()
        self._outside_may_act.set()
        if self._paused_task:
            self._paused_task.released.set()
        for latch in self._gates:
            latch.open()
