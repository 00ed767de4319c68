"""A replay stricter than Temporal's: the same history must lead to the same arguments as well (P9)."""

from collections.abc import AsyncIterator, Iterable, Iterator

from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import WorkflowHistory
from temporalio.worker import (
    Replayer,
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)
from temporalio.workflow import _Definition

from sagas import SagaPlugin

from .saga_histories import ACTIVITY_SCHEDULED, CHILD_INITIATED, CLOSED_BY_SERVER

Command = tuple[str, str, tuple[bytes, ...]]
"""An activity or child that a workflow starts: the id, the type and the arguments."""


class RecordingRunner(WorkflowRunner):
    """Runs workflows as usual, and records the commands of each run."""

    def __init__(self) -> None:
        self.commands: dict[str, list[Command]] = {}
        self._inner = UnsandboxedWorkflowRunner()

    def prepare_workflow(self, defn: _Definition) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = self._inner.create_instance(det)
        commands = self.commands.setdefault(det.info.run_id, [])
        activate = instance.activate

        def activate_and_record(act: WorkflowActivation) -> WorkflowActivationCompletion:
            completion = activate(act)
            commands.extend(_sent_commands(completion.successful.commands))
            return completion

        instance.activate = activate_and_record  # type: ignore[method-assign]  # all other methods stay unchanged
        return instance


async def replay_strictly(workflows: list[type], histories: Iterable[WorkflowHistory]) -> int:
    """Replays histories; returns their number.

    Raises:
        NondeterminismError: A replay leads to other commands.
        AssertionError: A replay leads to the same commands with other arguments.
    """
    all_histories = list(histories)
    runner = RecordingRunner()
    replayer = Replayer(workflows=workflows, workflow_runner=runner, plugins=[SagaPlugin()])

    async def each() -> AsyncIterator[WorkflowHistory]:
        for history in all_histories:
            yield history

    await replayer.replay_workflows(each())
    for history in all_histories:
        started = history.events[0].workflow_execution_started_event_attributes
        replayed = runner.commands[started.original_execution_run_id]
        recorded = list(_recorded_commands(history))
        if history.events[-1].event_type in CLOSED_BY_SERVER:
            # The server never wrote the commands of the task that was open when the workflow was closed.
            replayed = replayed[: len(recorded)]
        assert replayed == recorded, f"{history.workflow_id}: a replay leads to other arguments"
    return len(all_histories)


def _sent_commands(commands: Iterable[WorkflowCommand]) -> Iterator[Command]:
    sent = list(commands)
    withdrawn = {c.request_cancel_activity.seq for c in sent if c.HasField("request_cancel_activity")}
    for command in sent:
        # An activity that is cancelled by the task that schedules the activity is never sent.
        if command.HasField("schedule_activity") and command.schedule_activity.seq not in withdrawn:
            activity = command.schedule_activity
            yield activity.activity_id, activity.activity_type, _data(activity.arguments)
        elif command.HasField("start_child_workflow_execution"):
            child = command.start_child_workflow_execution
            yield child.workflow_id, child.workflow_type, _data(child.input)


def _recorded_commands(history: WorkflowHistory) -> Iterator[Command]:
    for event in history.events:
        if event.event_type == ACTIVITY_SCHEDULED:
            activity = event.activity_task_scheduled_event_attributes
            yield activity.activity_id, activity.activity_type.name, _data(activity.input.payloads)
        elif event.event_type == CHILD_INITIATED:
            child = event.start_child_workflow_execution_initiated_event_attributes
            yield child.workflow_id, child.workflow_type.name, _data(child.input.payloads)


def _data(payloads: Iterable[Payload]) -> tuple[bytes, ...]:
    return tuple(payload.data for payload in payloads)
