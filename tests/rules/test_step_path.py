"""A message passes few files on the way from the workflow's code to Temporal."""

import traceback
from pathlib import Path
from typing import Any

from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import (
    Interceptor,
    Replayer,
    StartActivityInput,
    UnsandboxedWorkflowRunner,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from examples.order.saga import OrderSaga
from sagas import SagaPlugin
from tests.histories.folders import CURRENT

ROOT = Path(__file__).parents[2]
HISTORY = CURRENT / "examples" / "order-all-well" / "1-OrderSaga.json"
MOST_FILES = 6
ORDER_SAGA = "examples/order/saga.py"

paths: list[list[str]] = []
"""The files of this repository on the stack of each started activity, the outermost first."""


class PathRecorder(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:  # noqa: A002 - Temporal's
        files = (Path(frame.filename) for frame in traceback.extract_stack())
        ours = (str(file.relative_to(ROOT)) for file in files if file.is_relative_to(ROOT))
        paths.append([file for file in ours if not file.startswith((".venv", "tests"))])
        return super().start_activity(input)


class RecordingWorkflow(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(PathRecorder(outbound))


class RecordingInterceptor(Interceptor):
    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - Temporal's
    ) -> type[WorkflowInboundInterceptor]:
        return RecordingWorkflow


async def test_a_step_passes_few_files_from_saga_to_temporal() -> None:
    """In a replay, the stack of each step leads from the workflow to Temporal through six files at most.

    The step after the pivot is retried by a task of its own, and has a stack of its own.
    """
    paths.clear()
    replayer = Replayer(
        workflows=[OrderSaga],
        plugins=[SagaPlugin()],
        interceptors=[RecordingInterceptor()],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await replayer.replay_workflow(WorkflowHistory.from_json("order-all-well", HISTORY.read_text()))

    ways = [dict.fromkeys(path[path.index(ORDER_SAGA) + 1 :]) for path in paths if ORDER_SAGA in path]
    assert len(ways) == 5
    assert all({"sagas/_workflow/saga.py", "sagas/_plugin/interceptor.py"} <= set(way) for way in ways), ways
    assert all(len(way) <= MOST_FILES for way in ways), ways
