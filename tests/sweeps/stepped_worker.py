"""A worker whose tasks come through a turnstile: the test says when it takes one, and when one is done."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import Client
from temporalio.worker import (
    CustomSlotSupplier,
    FixedSizeSlotSupplier,
    Interceptor,
    SlotMarkUsedContext,
    SlotPermit,
    SlotReleaseContext,
    SlotReserveContext,
    StartActivityInput,
    StartChildWorkflowInput,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkerTuner,
    WorkflowInboundInterceptor,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
    WorkflowRunner,
)
from temporalio.workflow import ActivityHandle, ChildWorkflowHandle, _Definition

from sagas._temporal.sandbox import with_sagas

PATIENCE = 60.0
"""Seconds after which something that was waited for counts as never happening."""

LONGEST_HOLD = timedelta(seconds=30)
"""How long a workflow task may be held before the server gives it to another worker."""

STICKY = timedelta(seconds=10)
"""How long a task waits for the worker that has its workflow in its cache, by Temporal's default."""

DEEPER = "~"
"""Is appended to the task queue of a saga for the queue of its children."""


class TaskGate(CustomSlotSupplier):
    """Lets so many tasks through, and the others when it is opened.

    Nobody polls while it is closed, so what comes then is scheduled and not started.

    Args:
        fresh: How many tasks pass from the queue itself; as many as come where it is `None`.
        sticky: How many pass from the queue of cached workflows.
        when_done: Is called when a task was carried out, and the server knows it.
    """

    def __init__(
        self,
        fresh: int | None = None,
        sticky: int | None = None,
        *,
        when_done: Callable[[], None] = lambda: None,
    ) -> None:
        self._when_done, self._loop = when_done, asyncio.get_running_loop()
        self._left = {False: fresh, True: sticky}
        self._opened = asyncio.Event()
        if fresh is None and sticky is None:
            self._opened.set()

    def open(self) -> None:
        """Lets everything through."""
        self._opened.set()

    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        left = self._left[ctx.is_sticky]
        if left == 0:
            await self._opened.wait()
        elif left is not None:
            self._left[ctx.is_sticky] = left - 1
        return SlotPermit()

    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:
        return None

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        pass

    def release_slot(self, ctx: SlotReleaseContext) -> None:
        if ctx.slot_info is not None:
            self._loop.call_soon_threadsafe(self._when_done)


@dataclass(slots=True)
class PausedTask:
    """Where a workflow task is held: the one that begins at an event of a workflow's history.

    Args:
        workflow_id: Whose task.
        started: The id of its `WORKFLOW_TASK_STARTED`.
        run: Which run of the workflow, where it continues as new: 0 is the first.
    """

    workflow_id: str
    started: int
    run: int
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    released: threading.Event = field(default_factory=threading.Event)


class PausingRunner(WorkflowRunner):
    """Runs workflows as ever; holds one task after it was started, and before its code runs.

    Args:
        hold: The task, if any.
        is_sandboxed: Whether workflows run in Temporal's sandbox, as users have it.
    """

    def __init__(self, hold: PausedTask | None, *, is_sandboxed: bool) -> None:
        self._inner = with_sagas(None if is_sandboxed else UnsandboxedWorkflowRunner())
        self._hold = hold
        self._loop = asyncio.get_running_loop()
        self._runs: list[str] = []

    def prepare_workflow(self, defn: _Definition) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance, info = self._inner.create_instance(det), det.info
        activate = instance.activate
        if self._hold and info.workflow_id == self._hold.workflow_id and info.run_id not in self._runs:
            self._runs.append(info.run_id)

        def held(act: WorkflowActivation) -> WorkflowActivationCompletion:
            is_new = not act.is_replaying and not all(job.HasField("remove_from_cache") for job in act.jobs)
            hold = self._hold
            if (
                hold
                and is_new
                and (info.workflow_id, act.history_length) == (hold.workflow_id, hold.started)
                and self._runs.index(info.run_id) == hold.run
            ):
                self._loop.call_soon_threadsafe(hold.entered.set)
                assert hold.released.wait(PATIENCE)
            return activate(act)

        instance.activate = held  # type: ignore[method-assign]  # every other method stays as it is
        return instance


class ChildQueueInterceptor(Interceptor):
    """Gives the children of a saga a task queue of their own, so that their tasks can be held apart.

    Args:
        patient: The id of the activity an attempt of which may take as long as anything is held.
    """

    def __init__(self, patient: str | None = None) -> None:
        self._patient = patient

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - Temporal's
    ) -> type[WorkflowInboundInterceptor]:
        patient = self._patient

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(_Outbound(outbound, patient))

        return Inbound


class _Outbound(WorkflowOutboundInterceptor):
    def __init__(self, outbound: WorkflowOutboundInterceptor, patient: str | None) -> None:
        super().__init__(outbound)
        self._patient = patient

    def start_activity(
        self,
        input: StartActivityInput,  # noqa: A002 - Temporal's
    ) -> ActivityHandle[Any]:
        if input.activity_id == self._patient:
            input.start_to_close_timeout = LONGEST_HOLD
        return super().start_activity(input)

    async def start_child_workflow(
        self,
        input: StartChildWorkflowInput,  # noqa: A002 - Temporal's
    ) -> ChildWorkflowHandle[object, object]:
        input.task_queue = workflow.info().task_queue + DEEPER
        input.task_timeout = LONGEST_HOLD
        return await super().start_child_workflow(input)


def gated_worker(
    tasks: TaskGate,
    activities: TaskGate,
    *,
    client: Client,
    task_queue: str,
    workflows: list[type],
    calls: Sequence[Callable[..., object]],
    hold: PausedTask | None,
    cache: int,
    patient: str | None = None,
    sticky: timedelta = STICKY,
    is_sandboxed: bool = False,
) -> Worker:
    """A worker that takes its workflow tasks and its activities through turnstiles.

    Args:
        tasks: Where workflow tasks come through.
        activities: Where activities come through.
        client: Where it works.
        task_queue: What it polls.
        workflows: What it can run.
        calls: The activities it can run.
        hold: The workflow task that it holds, if any.
        cache: How many workflows it keeps.
        patient: The id of the activity an attempt of which may take as long as anything is held.
        sticky: How long a task waits for the worker that has its workflow in its cache.
        is_sandboxed: Whether workflows run in Temporal's sandbox, as users have it.
    """
    spare = FixedSizeSlotSupplier(1)
    worker = Worker(
        client,
        task_queue=task_queue,
        workflows=workflows,
        activities=calls,
        interceptors=[ChildQueueInterceptor(patient)],
        workflow_runner=PausingRunner(hold, is_sandboxed=is_sandboxed),
        tuner=WorkerTuner.create_composite(
            workflow_supplier=tasks,
            activity_supplier=activities,
            local_activity_supplier=spare,
            nexus_supplier=spare,
        ),
        max_cached_workflows=cache,
        sticky_queue_schedule_to_start_timeout=sticky,
        max_concurrent_workflow_task_polls=2 if cache else 1,
        max_concurrent_activity_task_polls=1,
        disable_eager_activity_execution=True,
        default_heartbeat_throttle_interval=timedelta(milliseconds=100),
        max_heartbeat_throttle_interval=timedelta(milliseconds=100),
    )
    # A task that is held for long on a busy machine would count as a deadlock; the only public way to say
    # that it is none, the debug mode, carries out tasks where they would block this test.
    assert worker._workflow_worker
    worker._workflow_worker._deadlock_timeout_seconds = None
    return worker
