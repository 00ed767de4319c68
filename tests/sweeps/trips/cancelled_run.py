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
from tests.temporal.fixtures.trip_saga import NumberlessSaga, TripSaga
from tests.temporal.fixtures.worker_harness import Ending, Handle, Stage

from ..interruption_points import Moment, Passes, When
from ..saga_histories import (
    CANCEL_REQUESTED,
    CHILD_CANCEL_REQUESTED,
    CHILD_STARTED,
    COMPLETED,
    CONTINUED,
    Line,
    closes,
    family,
)
from ..stepped_worker import DEEPER, PATIENCE, TaskHold, Turnstile, worker_behind
from .fenced_participants import Hold, Participants
from .saga_shapes import Shape

DEEPEST = 3
WORKFLOWS: list[type] = [TripSaga, NumberlessSaga]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run has left behind."""

    shape: Shape
    moment: Moment | None
    root_id: str
    ending: Ending
    lines: list[Line]
    participants: Participants


@dataclass
class ForwardCheck:
    """One run of a saga of some shape, and the cancel that comes at its moment.

    Args:
        client: Where it runs.
        shape: What it does.
        cache: How many workflows its workers keep; with 0, every task is a replay from the beginning.
        moment: When it is cancelled, if ever.
        depth: How many generations of sagas it has at most.
    """

    client: Client
    shape: Shape
    cache: int
    moment: Moment | None = None
    depth: int = DEEPEST
    root_id: str = field(default_factory=lambda: f"swept-{uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self._participants = Participants(
            self.shape.answers, in_turn=self.shape.in_turn, heard=self.shape.heard
        )
        moment = self.moment
        if moment and moment.held:
            workflow_id, activity_id, nth = moment.held
            held = workflow_id.partition("/")
            self._participants.hold_at = Hold(
                self.root_id + held[1] + held[2], activity_id, nth, moment.when is When.ANSWERED
            )
        self._held_task: TaskHold | None = None
        if moment and moment.when is When.DURING_TASK:
            self._held_task = TaskHold(self._id_of(moment.path), moment.event, moment.run)
        self._doors: list[Turnstile] = []
        self._world_may_move = asyncio.Event()

    async def run(self) -> Evidence:
        """Runs the saga to its end, and returns what it has left."""
        try:
            async with asyncio.timeout(2 * PATIENCE):
                return await self._run()
        except (TimeoutError, AssertionError) as error:
            error.add_note(f"{self.shape.name}, cache {self.cache}, cancelled {self.moment}: {self.root_id}")
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
            if self.moment is None:
                self._world_may_move.set()
            else:
                await self._cancel(handle, self.moment)
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(handle.result(), return_exceptions=True)
            ending = await Stage(self.client, cache=self.cache).ending(handle)
            if self.moment and self.moment.when is When.AFTER_END:
                with suppress(RPCError):
                    await handle.cancel()
            world.cancel()
            await asyncio.wait([world])
            if not world.cancelled():
                world.result()
        lines = await family(self.client, self.root_id)
        return Evidence(self.shape, self.moment, self.root_id, ending, lines, self._participants)

    async def _world(self, handle: Handle) -> None:
        if self.shape.outside:
            await self._world_may_move.wait()
            await self.shape.outside(handle)

    @asynccontextmanager
    async def _worker(self, depth: int) -> AsyncIterator[None]:
        moment = self.moment
        tasks = self._turnstile(moment.tasks if moment else None, depth, self._participants.a_task_was_done)
        activities = self._turnstile(moment.activities if moment else None, depth, lambda: None)
        worker = worker_behind(
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

    def _turnstile(self, passes: Passes | None, depth: int, when_done: Callable[[], None]) -> Turnstile:
        if passes is None or passes.depth != depth:
            return Turnstile(when_done=when_done)
        fresh = passes.fresh if self.cache else passes.fresh + passes.sticky
        door = Turnstile(fresh, passes.sticky, when_done=when_done)
        self._doors.append(door)
        return door

    async def _cancel(self, handle: Handle, moment: Moment) -> None:
        if moment.when is not When.RESTING:
            self._world_may_move.set()
        if moment.when is When.AFTER_END:
            return
        await self._come_to(moment)
        if moment.path:
            await self._until_parents_rest(moment.path)
        await handle.cancel()
        if moment.path:
            await self._until_told(moment.path)
        self._world_may_move.set()
        if moment.when is When.TOGETHER:
            self._let_activity_go()
            await self._seen(moment, lambda event: closes(event) == moment.began)
        elif moment.when in (When.BEGUN, When.ANSWERED, When.UNTAKEN):
            await self._until_heard(moment)
        self._release()

    async def _come_to(self, moment: Moment) -> None:
        async with asyncio.timeout(PATIENCE):
            if self._held_task:
                await self._held_task.entered.wait()
                return
            if hold := self._participants.hold_at:
                await hold.gate.entered.wait()
            if not self.shape.in_turn or not hold:
                await self._seen(moment, lambda event: event.event_id == moment.event)

    def _let_activity_go(self) -> None:
        if hold := self._participants.hold_at:
            hold.gate.opened.set()
            self._participants.end_turns()

    def _release(self) -> None:
        self._let_activity_go()
        if self.moment:
            self._participants.end_turns()
        self._world_may_move.set()
        if self._held_task:
            self._held_task.opened.set()
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

            await self._seen(Moment(when=When.RESTING, path=parent), has_heard)

    async def _until_told(self, path: str) -> None:
        """Waits until the cancel of the root has come down to a child."""
        parent, child = list(_generations(path))[-1]
        told = attrgetter("external_workflow_execution_cancel_requested_event_attributes")
        child_id = self._id_of(child)
        await self._seen(
            Moment(when=When.RESTING, path=parent),
            lambda event: (
                event.event_type == CHILD_CANCEL_REQUESTED
                and told(event).workflow_execution.workflow_id == child_id
            ),
        )

    async def _until_heard(self, moment: Moment) -> None:
        """Waits until the workflow of a moment has been told of the cancel."""
        is_cancelled = False

        def has_heard(event: HistoryEvent) -> bool:
            nonlocal is_cancelled
            is_cancelled |= event.event_type == CANCEL_REQUESTED
            return is_cancelled and event.event_type == COMPLETED

        await self._seen(moment, has_heard)

    async def _seen(self, where: Moment, condition: Callable[[HistoryEvent], bool]) -> HistoryEvent:
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
                Moment(when=When.RESTING, path=parent),
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
