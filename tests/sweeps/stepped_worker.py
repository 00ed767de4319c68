"""A worker behind gates: the test decides when the worker receives a task, and learns when a task is done."""

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
"""Seconds after which a wait of a sweep fails."""

LONGEST_PAUSE = timedelta(seconds=30)
"""The workflow task timeout: how long a workflow task may be paused."""

STICKY = timedelta(seconds=10)
"""Temporal's default for the schedule-to-start timeout of sticky tasks."""

CHILD_QUEUE_SUFFIX = "~"
"""The task queue of child sagas is the task queue of the parent with this suffix."""


class _Permit(SlotPermit):
    """The permit for one task, with the function to call when the task is done."""

    end: Callable[[], None] = staticmethod(lambda: None)


class TaskGate(CustomSlotSupplier):
    """Admits a number of tasks, and all others after the gate is opened.

    A closed gate stops the poller, so further tasks are scheduled and not started.

    Args:
        fresh: The number of admitted tasks from the task queue; `None` admits all.
        sticky: The number of admitted tasks from the sticky queue.
        on_start: Called when a task starts, from any thread. The returned function is called when the task is
            done and the server has received the completion.
    """

    def __init__(
        self,
        fresh: int | None = None,
        sticky: int | None = None,
        *,
        on_start: Callable[[], Callable[[], None]] = lambda: lambda: None,
    ) -> None:
        self._on_start, self._loop = on_start, asyncio.get_running_loop()
        self._left = {False: fresh, True: sticky}
        self._opened = asyncio.Event()
        if fresh is None and sticky is None:
            self._opened.set()

    def open(self) -> None:
        """Admits all tasks."""
        self._opened.set()

    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        left = self._left[ctx.is_sticky]
        if left == 0:
            await self._opened.wait()
        elif left is not None:
            self._left[ctx.is_sticky] = left - 1
        return _Permit()

    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:
        return None

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        assert isinstance(ctx.permit, _Permit)
        ctx.permit.end = self._on_start()

    def release_slot(self, ctx: SlotReleaseContext) -> None:
        assert isinstance(ctx.permit, _Permit)
        if ctx.slot_info is not None:
            self._loop.call_soon_threadsafe(ctx.permit.end)


@dataclass(slots=True)
class PausedTask:
    """A workflow task that is paused before the code of the workflow runs.

    Args:
        workflow_id: The id of the workflow.
        started: The id of the `WORKFLOW_TASK_STARTED` event.
        run: The number of the run, where the workflow continues as new: 0 is the first.
    """

    workflow_id: str
    started: int
    run: int
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    released: threading.Event = field(default_factory=threading.Event)


class PausingRunner(WorkflowRunner):
    """Runs workflows as usual, and pauses one workflow task before the code of the workflow runs.

    Args:
        paused: The paused task, if any.
        is_sandboxed: Whether workflows run in Temporal's sandbox, as users have it.
    """

    def __init__(self, paused: PausedTask | None, *, is_sandboxed: bool) -> None:
        self._inner = with_sagas(None if is_sandboxed else UnsandboxedWorkflowRunner())
        self._paused = paused
        self._loop = asyncio.get_running_loop()
        self._runs: list[str] = []

    def prepare_workflow(self, defn: _Definition) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance, info = self._inner.create_instance(det), det.info
        activate = instance.activate
        if self._paused and info.workflow_id == self._paused.workflow_id and info.run_id not in self._runs:
            self._runs.append(info.run_id)

        def activate_when_released(act: WorkflowActivation) -> WorkflowActivationCompletion:
            is_new = not act.is_replaying and not all(job.HasField("remove_from_cache") for job in act.jobs)
            paused = self._paused
            if (
                paused
                and is_new
                and (info.workflow_id, act.history_length) == (paused.workflow_id, paused.started)
                and self._runs.index(info.run_id) == paused.run
            ):
                self._loop.call_soon_threadsafe(paused.entered.set)
                assert paused.released.wait(PATIENCE)
            return activate(act)

        instance.activate = activate_when_released  # type: ignore[method-assign]  # only this method changes
        return instance


class ChildQueueInterceptor(Interceptor):
    """Gives child sagas their own task queue, so that their tasks have their own gate.

    Args:
        patient_activity: The id of the activity with a start-to-close timeout as long as the longest pause.
    """

    def __init__(self, patient_activity: str | None = None) -> None:
        self._patient = patient_activity

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - Temporal's
    ) -> type[WorkflowInboundInterceptor]:
        patient_activity = self._patient

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(_Outbound(outbound, patient_activity))

        return Inbound


class _Outbound(WorkflowOutboundInterceptor):
    def __init__(self, outbound: WorkflowOutboundInterceptor, patient_activity: str | None) -> None:
        super().__init__(outbound)
        self._patient = patient_activity

    def start_activity(
        self,
        input: StartActivityInput,  # noqa: A002 - Temporal's
    ) -> ActivityHandle[Any]:
        if input.activity_id == self._patient:
            input.start_to_close_timeout = LONGEST_PAUSE
        return super().start_activity(input)

    async def start_child_workflow(
        self,
        input: StartChildWorkflowInput,  # noqa: A002 - Temporal's
    ) -> ChildWorkflowHandle[object, object]:
        input.task_queue = workflow.info().task_queue + CHILD_QUEUE_SUFFIX
        input.task_timeout = LONGEST_PAUSE
        return await super().start_child_workflow(input)


@dataclass(frozen=True, kw_only=True)
class GatedWorker:
    """A worker with one gate for workflow tasks and one gate for activities.

    Args:
        tasks: The gate of the workflow tasks.
        activities: The gate of the activities.
        client: The client of the worker.
        task_queue: The task queue of the worker.
        workflows: The registered workflows.
        calls: The registered activities.
        paused: The paused workflow task, if any.
        cache: The size of the workflow cache.
        patient_activity: The id of the activity with a start-to-close timeout as long as the longest pause.
        sticky: The schedule-to-start timeout of sticky tasks.
        is_sandboxed: Whether workflows run in Temporal's sandbox, as users have it.
    """

    tasks: TaskGate
    activities: TaskGate
    client: Client
    task_queue: str
    workflows: list[type]
    calls: Sequence[Callable[..., object]]
    paused: PausedTask | None
    cache: int
    patient_activity: str | None = None
    sticky: timedelta = STICKY
    is_sandboxed: bool = False

    def build(self) -> Worker:
        """Makes the worker."""
        spare = FixedSizeSlotSupplier(1)
        worker = Worker(
            self.client,
            task_queue=self.task_queue,
            workflows=self.workflows,
            activities=self.calls,
            interceptors=[ChildQueueInterceptor(self.patient_activity)],
            workflow_runner=PausingRunner(self.paused, is_sandboxed=self.is_sandboxed),
            tuner=WorkerTuner.create_composite(
                workflow_supplier=self.tasks,
                activity_supplier=self.activities,
                local_activity_supplier=spare,
                nexus_supplier=spare,
            ),
            max_cached_workflows=self.cache,
            sticky_queue_schedule_to_start_timeout=self.sticky,
            max_concurrent_workflow_task_polls=2 if self.cache else 1,
            max_concurrent_activity_task_polls=1,
            disable_eager_activity_execution=True,
            default_heartbeat_throttle_interval=timedelta(milliseconds=100),
            max_heartbeat_throttle_interval=timedelta(milliseconds=100),
        )
        # A paused task would count as a deadlock. The only public way to switch off the deadlock detection is
        # the debug mode, which runs workflow tasks on the event loop of the test and would block the test.
        assert worker._workflow_worker
        worker._workflow_worker._deadlock_timeout_seconds = None
        return worker
