"""Every module of the workflow package runs in tests without a server: in replays of the stored histories."""

import sys
from pathlib import Path
from types import FrameType

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

import sagas._workflow as workflow_package
from examples.order.saga import OrderSaga
from examples.payment.saga import PaymentSaga
from sagas import SagaPlugin
from tests.histories.folders import CURRENT
from tests.temporal.fixtures.section_saga import SectionSaga
from tests.temporal.fixtures.trip_saga import TripSaga
from tests.temporal.independent.parcel_saga import ParcelSaga
from workers import read_recordings

FOLDER = Path(workflow_package.__path__[0])
MODULES = {file.name for file in FOLDER.glob("*.py")} - {"__init__.py"}


class CallRecorder(UnsandboxedWorkflowRunner):
    """Records the files of the functions that an activation of a workflow calls."""

    def __init__(self) -> None:
        self.files: set[str] = set()

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        activate = instance.activate

        def recorded(activation: WorkflowActivation) -> WorkflowActivationCompletion:
            sys.setprofile(self._record)
            try:
                return activate(activation)
            finally:
                sys.setprofile(None)

        # Temporal offers no other hook around an activation.
        instance.activate = recorded  # type: ignore[method-assign, assignment]
        return instance

    def _record(self, frame: FrameType, event: str, argument: object) -> None:
        del argument
        if event == "call":
            self.files.add(frame.f_code.co_filename)


async def test_replays_run_every_module_of_the_workflow_package() -> None:
    """A module that no stored history reaches needs a history, or is not needed."""
    recorder = CallRecorder()
    replayer = Replayer(
        workflows=[OrderSaga, PaymentSaga, TripSaga, SectionSaga, ParcelSaga],
        plugins=[SagaPlugin()],
        workflow_runner=recorder,
    )
    for recording in read_recordings(CURRENT):
        for history in recording.histories:
            await replayer.replay_workflow(history)

    called = {Path(file).name for file in recorder.files if Path(file).parent == FOLDER}
    assert called == MODULES
