"""The replay of the histories of a test: the same history gives the same commands."""

from collections.abc import Sequence

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from ..._plugin.plugin import SagaPlugin


def sandbox_for_tests() -> SandboxedWorkflowRunner:
    """Temporal's sandbox, which does not import pytest anew for every workflow of a test module."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules("pytest", "_pytest")
    )


async def replay_family(client: Client, saga_id: str, run_id: str, workflows: Sequence[type]) -> None:
    """Replays the histories of a saga, of the later runs, and of the children.

    Raises:
        temporalio.workflow.NondeterminismError: The code gives other commands than a history has.
    """
    plugins = client.config(active_config=True)["plugins"]
    replayer = Replayer(
        workflows=workflows,
        workflow_runner=sandbox_for_tests(),
        plugins=[each for each in plugins if isinstance(each, SagaPlugin)],
        data_converter=client.data_converter,
    )
    remaining = [(saga_id, run_id)]
    while remaining:
        workflow_id, run_id = remaining.pop()
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        await replayer.replay_workflow(history)
        for event in history.events:
            remaining += next_runs(workflow_id, event)


def next_runs(workflow_id: str, event: HistoryEvent) -> list[tuple[str, str]]:
    """The ids of the workflow and the run that an event begins: the next run of the workflow, or a child."""
    continued = event.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    child = event.child_workflow_execution_started_event_attributes.workflow_execution
    if continued:
        return [(workflow_id, continued)]
    return [(child.workflow_id, child.run_id)] if child.workflow_id else []
