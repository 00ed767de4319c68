"""One run of a saga that is cancelled at one moment, and what is left of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from operator import attrgetter
from uuid import uuid4

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper

from sagas import start_saga
from tests.temporal.fixtures.trip_saga import TripSaga, WrongResultSaga
from tests.temporal.fixtures.worker_harness import Ending, Handle, WorkerHarness

from ..interruption_points import AdmittedTasks, InterruptionPoint, Timing
from ..saga_histories import (
    CANCEL_REQUESTED,
    CHILD_CANCEL_REQUESTED,
    CHILD_STARTED,
    COMPLETED,
    CONTINUED,
    RunHistory,
    fetch_run_histories,
    scheduled_event_of,
)
from ..stepped_worker import DEEPER, PATIENCE, PausedTask, TaskGate, gated_worker
from .fenced_participants import FencedParticipants, PausedActivity
from .saga_shapes import SagaShape

DEEPEST = 3
WORKFLOWS: list[type] = [TripSaga, WrongResultSaga]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run has left behind."""

    shape: SagaShape
    point: InterruptionPoint | None
    root_id: str
    ending: Ending
    run_histories: list[RunHistory]
    participants: FencedParticipants


@dataclass
class CancelledRun:
    """One run of a saga of some shape, and the cancel that comes at its moment.

    Args:
        client: Where it runs.
        shape: What it does.
        cache: How many workflows its workers keep; with 0, every task is a replay from the beginning.
        moment: When it is cancelled, if ever.
        depth: How many generations of sagas it has at most.
    """

    client: Client
    shape: SagaShape
    cache: int
    point: InterruptionPoint | None = None
    depth: int = DEEPEST
    root_id: str = field(default_factory=lambda: f"swept-{uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self._participants = FencedParticipants(
            self.shape.answers, in_turn=self.shape.in_turn, heard=self.shape.heard
        )
        point = self.point
        if point and point.held:
            workflow_id, activity_id, nth = point.held
            held = workflow_id.partition("/")
            self._participants.hold_at = PausedActivity(
                self.root_id + held[1] + held[2], activity_id, nth, point.when is Timing.ANSWERED
            )
        self._held_task: PausedTask | None = None
        if point and point.when is Timing.DURING_TASK:
            self._held_task = PausedTask(self._id_of(point.path), point.event, point.run)
        self._doors: list[TaskGate] = []
        self._world_may_move = asyncio.Event()

    async def run(self) -> Evidence:
        """Runs the saga to its end, and returns what it has left."""
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
            handle: Handle = await start_saga(
                client,
                TripSaga.run,
                self.shape.plan,
                id=self.root_id,
                task_queue=self.root_id,
            )
            world = asyncio.create_task(self._world(handle))
            if self.point is None:
                self._world_may_move.set()
            else:
                await self._cancel(handle, self.point)
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(handle.result(), return_exceptions=True)
            ending = await WorkerHarness(self.client, cache=self.cache).wait_for_ending(handle)
            if self.point and self.point.when is Timing.AFTER_END:
                with suppress(RPCError):
                    await handle.cancel()
            world.cancel()
            await asyncio.wait([world])
            if not world.cancelled():
                world.result()
        run_histories = await fetch_run_histories(self.client, self.root_id)
        return Evidence(self.shape, self.point, self.root_id, ending, run_histories, self._participants)

    async def _world(self, handle: Handle) -> None:
        if self.shape.outside:
            await self._world_may_move.wait()
            await self.shape.outside(handle)

    @asynccontextmanager
    async def _worker(self, depth: int) -> AsyncIterator[None]:
        point = self.point
        tasks = self._turnstile(point.tasks if point else None, depth, self._participants.a_task_was_done)
        activities = self._turnstile(point.activities if point else None, depth, lambda: None)
        worker = gated_worker(
            tasks,
            activities,
            client=self.client,
            task_queue=self.root_id + DEEPER * depth,
            workflows=WORKFLOWS,
            calls=self._participants.activities(),
            hold=self._held_task,
            cache=self.cache,
            is_sandboxed=self.shape.is_sandboxed,
        )
        async with worker:
            try:
                yield
            finally:
                self._release()

    def _turnstile(self, passes: AdmittedTasks | None, depth: int, when_done: Callable[[], None]) -> TaskGate:
        if passes is None or passes.depth != depth:
            return TaskGate(when_done=when_done)
        fresh = passes.fresh if self.cache else passes.fresh + passes.sticky
        door = TaskGate(fresh, passes.sticky, when_done=when_done)
        self._doors.append(door)
        return door

    async def _cancel(self, handle: Handle, point: InterruptionPoint) -> None:
        if point.when is not Timing.RESTING:
            self._world_may_move.set()
        if point.when is Timing.AFTER_END:
            return
        await self._come_to(point)
        if point.path:
            await self._until_parents_rest(point.path)
        await handle.cancel()
        if point.path:
            await self._until_told(point.path)
        self._world_may_move.set()
        if point.when is Timing.TOGETHER:
            self._let_activity_go()
            await self._seen(point, lambda event: scheduled_event_of(event) == point.began)
        elif point.when in (Timing.BEGUN, Timing.ANSWERED, Timing.UNTAKEN):
            await self._until_heard(point)
        self._release()

    async def _come_to(self, point: InterruptionPoint) -> None:
        async with asyncio.timeout(PATIENCE):
            if self._held_task:
                await self._held_task.entered.wait()
                return
            if hold := self._participants.hold_at:
                await hold.latch.entered.wait()
            if not self.shape.in_turn or not hold:
                await self._seen(point, lambda event: event.event_id == point.event)

    def _let_activity_go(self) -> None:
        if hold := self._participants.hold_at:
            hold.latch.released.set()
            self._participants.end_turns()

    def _release(self) -> None:
        self._let_activity_go()
        if self.point:
            self._participants.end_turns()
        self._world_may_move.set()
        if self._held_task:
            self._held_task.released.set()
        for door in self._doors:
            door.open()

    async def _until_parents_rest(self, path: str) -> None:
        """Waits until all above a child have heard that it has started, and wait for its end."""
        for parent, child in _generations(path):
            child_id = self._id_of(child)
            has_started = False

            def has_heard(event: HistoryEvent, child_id: str = child_id) -> bool:
                nonlocal has_started
                attributes = event.child_workflow_execution_started_event_attributes
                has_started |= (
                    event.event_type == CHILD_STARTED
                    and attributes.workflow_execution.workflow_id == child_id
                )
                return has_started and event.event_type == COMPLETED

            await self._seen(InterruptionPoint(when=Timing.RESTING, path=parent), has_heard)

    async def _until_told(self, path: str) -> None:
        """Waits until the cancel of the root has come down to a child."""
        parent, child = list(_generations(path))[-1]
        told = attrgetter("external_workflow_execution_cancel_requested_event_attributes")
        child_id = self._id_of(child)
        await self._seen(
            InterruptionPoint(when=Timing.RESTING, path=parent),
            lambda event: (
                event.event_type == CHILD_CANCEL_REQUESTED
                and told(event).workflow_execution.workflow_id == child_id
            ),
        )

    async def _until_heard(self, point: InterruptionPoint) -> None:
        """Waits until the workflow of a moment has been told of the cancel."""
        is_cancelled = False

        def has_heard(event: HistoryEvent) -> bool:
            nonlocal is_cancelled
            is_cancelled |= event.event_type == CANCEL_REQUESTED
            return is_cancelled and event.event_type == COMPLETED

        await self._seen(point, has_heard)

    async def _seen(
        self, where: InterruptionPoint, condition: Callable[[HistoryEvent], bool]
    ) -> HistoryEvent:
        """Waits for an event in the history of the workflow of a moment."""
        handle = await self._handle(where.path, where.run)
        async with asyncio.timeout(PATIENCE):
            async for event in handle.fetch_history_events(wait_new_event=True):
                if condition(event):
                    return event
        raise AssertionError(f"{handle.id} closed before that")

    async def _handle(self, path: str, run: int) -> Handle:
        for parent, child in _generations(path):
            child_id = self._id_of(child)
            await self._seen(
                InterruptionPoint(when=Timing.RESTING, path=parent),
                lambda event, child_id=child_id: (  # type: ignore[misc]  # mypy infers no types for a default
                    event.event_type == CHILD_STARTED
                    and event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
                    == child_id
                ),
            )
        first = (
            await self.client.get_workflow_handle(self._id_of(path)).describe()
        ).raw_description.workflow_execution_info.first_run_id
        handle: Handle = self.client.get_workflow_handle(self._id_of(path), run_id=first)
        for _ in range(run):
            async with asyncio.timeout(PATIENCE):
                async for event in handle.fetch_history_events(wait_new_event=True):
                    if event.event_type == CONTINUED:
                        attributes = event.workflow_execution_continued_as_new_event_attributes
                        handle = self.client.get_workflow_handle(
                            self._id_of(path), run_id=attributes.new_execution_run_id
                        )
                        break
        return handle

    def _id_of(self, path: str) -> str:
        return f"{self.root_id}/{path}" if path else self.root_id


def _generations(path: str) -> list[tuple[str, str]]:
    """Each pair of parent and child on the way to a path."""
    names = path.split("/") if path else []
    return [("/".join(names[:i]), "/".join(names[: i + 1])) for i in range(len(names))]
