"""Runs a saga of a test on a Temporal server: worker, time, inputs and history."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from ..._client.saga_handle import SagaHandle
from ..._client.start import start_saga
from ..._core.saga_outcome import SagaOutcome
from ..._history.fetcher import HistoryFetcher
from ..._history.saga_record import SagaRecord
from ...operator import SagaClient, render_timeline
from .._errors import SagaTestError
from .._participants.declarations import Declarations
from .._participants.scripted_participants import ScriptedParticipants
from .._script.inputs import Approval, Cancel, Event, Input, WhileWaiting
from .._script.plan import SagaPlan
from .history_watch import HistoryWatch, begins_wait, publishes
from .replay import replay_family
from .scripted_worker import ScriptedWorker

T = TypeVar("T")

MOST_SKIPS = 1_000
"""The skips of time in a run; the server's default of 200 is too few for a saga with many timers."""


class TemporalWorld:
    """A saga on a Temporal server, with a worker of its own.

    Args:
        client: A client with `SagaPlugin`.
        plan: The saga to run.
    """

    def __init__(self, client: Client, plan: SagaPlan) -> None:
        declared = Declarations(plan.run, plan.options.workflows, plan.steps)
        self.participants = ScriptedParticipants(plan, declared, self)
        self.operator = SagaClient(client)
        self._client, self._plan, self._workflows = client, plan, declared.workflows
        self._saga_id = plan.saga_id
        self._handle: SagaHandle[Any] | None = None
        self._watch = HistoryWatch(client, self._saga_id)
        self._skipper = TimeSkipper(client, config=TimeSkippingConfig(max_session_skip_count=MOST_SKIPS))
        self._worker = ScriptedWorker(client, plan, declared.workflows, self.participants)
        self._tasks = set[asyncio.Task[None]]()

    @property
    def handle(self) -> SagaHandle[Any]:
        """The handle of the saga, after the start."""
        assert self._handle is not None
        return self._handle

    async def start(self) -> None:
        """Starts the worker and the saga.

        Raises:
            SagaTestError: The server does not skip time.
        """
        await self._worker.start()
        # The server would skip the wait for an input together with the deadline of the wait.
        skips_from_the_start = self._plan.options.skips_time and not self._plan.inputs_while_waiting
        try:
            self._handle = await start_saga(
                self._skipper.client if skips_from_the_start else self._client,
                self._plan.run,
                self._plan.message,
                id=self._saga_id,
                task_queue=self._worker.task_queue,
            )
        except RPCError as error:
            raise _without_time_skipping(error) from error
        self._watch.start(self._handle.first_execution_run_id or "")
        if self._plan.inputs_while_waiting:
            self._run_in_background(self._deliver_while_waiting())

    async def stop(self) -> None:
        """Terminates the saga if open, and stops the worker."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._watch.stop()
        if self._handle is not None:
            description = await self._handle.describe()
            if description.status is WorkflowExecutionStatus.RUNNING:
                await self._handle.terminate("the test is over")
        await self._worker.stop()

    async def replay(self) -> None:
        """Replays the histories of the saga, of the later runs, and of the children."""
        run_id = self.handle.first_execution_run_id or ""
        await replay_family(self._client, self._saga_id, run_id, self._workflows)

    async def outcome(self) -> SagaOutcome[Any]:
        """Waits for the end of the saga."""
        return await self.wait(self.handle.outcome())

    async def record(self) -> SagaRecord:
        """Reads the saga with the children and the rescues from the server."""
        return await HistoryFetcher(self._client).fetch_family(self._saga_id)

    async def wait_for_status(self, status: str, *, nth: int) -> None:
        """Waits until the saga has published a status for the `nth` time."""
        await self.wait(self._watch.wait_for(publishes(status), nth=nth))

    async def wait_for_wait(self, name: str) -> None:
        """Waits until the saga waits for an event or an approval."""
        await self.wait(self._watch.wait_for(begins_wait(name)))

    async def wait(self, waiting: Coroutine[object, object, T]) -> T:
        """Waits, at most for the timeout of the plan.

        Raises:
            SagaTestError: The test has failed, or the timeout has passed.
        """
        seconds = self._plan.options.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await self._watch.wait_or_fail(waiting)
        except TimeoutError as error:
            timeline = render_timeline(await self.operator.show(self._saga_id))
            raise SagaTestError(f"the wait was not over within {seconds:g} s:\n\n{timeline}") from error

    async def deliver(self, each: Input) -> None:
        """Sends an input to the saga; returns when the server has the input."""
        match each:
            case Cancel():
                await self.handle.cancel()
            case Event(name=name, data=data):
                await self.handle.signal(name, *([] if data is None else [data]))
            case Approval():
                await self.operator.approve(
                    self._saga_id,
                    each.name,
                    is_approved=each.is_approved,
                    by=each.by,
                    because="the test decides",
                    roles=frozenset({each.role}),
                )

    def crash_worker(self) -> None:
        """Replaces the worker."""
        self._run_in_background(self._worker.crash())

    def fail(self, error: SagaTestError) -> None:
        """Fails the test."""
        self._watch.fail(error)

    async def _deliver_while_waiting(self) -> None:
        """Delivers the inputs in order, each after its delay; then the server skips time until the end."""
        for each in self._plan.inputs_while_waiting:
            assert isinstance(each.moment, WhileWaiting)
            try:
                await self._watch.wait_for(begins_wait(each.moment.name))
            except SagaTestError:
                # The saga has ended; the end of the test reports the input.
                return
            if each.moment.delay and self._plan.options.skips_time:
                await self._skipper.fast_forward(self.handle, each.moment.delay)
            await self.deliver(each)
            self.participants.mark_delivered(each)
        if self._plan.options.skips_time:
            await self._skipper.fast_forward(self.handle)

    def _run_in_background(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._watch.fail_with)


def _without_time_skipping(error: RPCError) -> Exception:
    """The advice for a server that does not skip time; other errors are returned unchanged."""
    if "skipping" not in error.message.lower():
        return error
    return SagaTestError(
        f"the server does not skip time ({error.message}): start the server with --dynamic-config-value "
        "frontend.WorkflowTimeSkippingEnabled=true, or pass RunOptions(skips_time=False)"
    )
