"""Replays histories more strictly than Temporal: the same history must lead to the same arguments as well."""

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
"""What a workflow asks for: an id, a type, and the arguments."""


class RecordingRunner(WorkflowRunner):
    """Runs workflows as ever, and writes down what each run asks for."""

    def __init__(self) -> None:
        self.asked: dict[str, list[Command]] = {}
        self._inner = UnsandboxedWorkflowRunner()

    def prepare_workflow(self, defn: _Definition) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = self._inner.create_instance(det)
        asked = self.asked.setdefault(det.info.run_id, [])
        activate = instance.activate

        def recorded(act: WorkflowActivation) -> WorkflowActivationCompletion:
            completion = activate(act)
            asked.extend(_asked_in(completion.successful.commands))
            return completion

        instance.activate = recorded  # type: ignore[method-assign]  # every other method stays as it is
        return instance


async def replay_strictly(workflows: list[type], histories: Iterable[WorkflowHistory]) -> int:
    """Replays histories; returns how many there were.

    Raises:
        NondeterminismError: The code of today would have done something else.
        AssertionError: It would have done the same with other arguments.
    """
    all_of_them = list(histories)
    runner = RecordingRunner()
    replayer = Replayer(workflows=workflows, workflow_runner=runner, plugins=[SagaPlugin()])

    async def each() -> AsyncIterator[WorkflowHistory]:
        for history in all_of_them:
            yield history

    await replayer.replay_workflows(each())
    for history in all_of_them:
        started = history.events[0].workflow_execution_started_event_attributes
        asked, did_ask = runner.asked[started.original_execution_run_id], list(_asked_by(history))
        if history.events[-1].event_type in CLOSED_BY_SERVER:
            # It was cut off: what the task asks for that it waited for was never written.
            asked = asked[: len(did_ask)]
        assert asked == did_ask, f"{history.workflow_id} asks with other arguments"
    return len(all_of_them)


def _asked_in(commands: Iterable[WorkflowCommand]) -> Iterator[Command]:
    sent = list(commands)
    withdrawn = {c.request_cancel_activity.seq for c in sent if c.HasField("request_cancel_activity")}
    for command in sent:
        # What is withdrawn with the task that asked for it is never sent.
        if command.HasField("schedule_activity") and command.schedule_activity.seq not in withdrawn:
            asked = command.schedule_activity
            yield asked.activity_id, asked.activity_type, _data(asked.arguments)
        elif command.HasField("start_child_workflow_execution"):
            child = command.start_child_workflow_execution
            yield child.workflow_id, child.workflow_type, _data(child.input)


def _asked_by(history: WorkflowHistory) -> Iterator[Command]:
    for event in history.events:
        if event.event_type == ACTIVITY_SCHEDULED:
            activity = event.activity_task_scheduled_event_attributes
            yield activity.activity_id, activity.activity_type.name, _data(activity.input.payloads)
        elif event.event_type == CHILD_INITIATED:
            child = event.start_child_workflow_execution_initiated_event_attributes
            yield child.workflow_id, child.workflow_type.name, _data(child.input.payloads)


def _data(payloads: Iterable[Payload]) -> tuple[bytes, ...]:
    return tuple(payload.data for payload in payloads)
