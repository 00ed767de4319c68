"""Data of another wire format is refused with a sentence, wherever the data is read."""

import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer

from examples.payment.saga import PaymentSaga
from sagas import SagaPlugin
from sagas._core.purpose import Purpose
from sagas._errors import DefinitionError, SagaError, TooLateError, WireFormatError
from sagas._history.closure import CloseStatus, ClosureReader
from sagas._history.event_values import PayloadReader
from sagas._history.parser import read_history
from sagas._temporal.payload_converter import SagaPayloadConverter
from sagas._wire.activity_header import HEADER, ActivityHeader
from sagas._wire.child_saga import ChildMemo, ChildResult, IndependentMemo
from sagas._wire.continued_state import ContinuedState, LedgerSnapshot
from sagas._wire.failures import reports_pending
from sagas._wire.operator_requests import ForgottenSteps
from sagas._wire.rescue import PendingCompensations, RescueRequest, RescueResult
from sagas._wire.stored_model import FORMAT, StoredModel
from tests.histories.folders import CURRENT
from workers import read_recordings, replay_recordings
from workers._histories.recording import write_recording

MODELS: list[StoredModel] = [
    ActivityHeader(purpose=Purpose.STEP),
    ChildMemo(parent_id="order-7"),
    ChildResult[str](result="r"),
    ContinuedState(ledger=LedgerSnapshot()),
    ForgottenSteps(),
    IndependentMemo(parent_id="order-7"),
    PendingCompensations(),
    RescueRequest(saga_id="order-7", by="mia", because="terminated"),
    RescueResult(compensated=()),
]
SENTENCE = (
    "has wire format 1, and this version of sagas reads wire format 2: use the version of sagas that started "
    "the saga"
)


def name_of(model: StoredModel) -> str:
    return model.__class__.__name__.partition("[")[0]


def history_of_format(number: int | None) -> WorkflowHistory:
    """A stored history whose activity headers have another format, or none."""
    (recording,) = [
        each for each in read_recordings(CURRENT / "examples") if each.folder.name == "payment-paid"
    ]
    (stored,) = recording.histories
    history = WorkflowHistory.from_json(stored.workflow_id, stored.to_json())
    for event in history.events:
        fields = event.activity_task_scheduled_event_attributes.header.fields
        if HEADER in fields:
            content = json.loads(fields[HEADER].data)
            content["format"] = number
            if number is None:
                del content["format"]
            fields[HEADER].data = json.dumps(content).encode()
    return history


def test_every_stored_model_is_checked() -> None:
    """A new stored model needs a sample here."""
    assert {name_of(each) for each in MODELS} == {
        kind.__name__ for kind in StoredModel.__subclasses__() if "[" not in kind.__name__
    }


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_a_stored_model_has_the_format(model: StoredModel) -> None:
    """The number is written first, also where defaults are left out, and the model is read as written."""
    text = model.model_dump_json(exclude_defaults=True)

    assert re.match(rf'{{"format":{FORMAT}[,}}]', text)
    assert type(model).model_validate_json(text) == model


def read_json(model: StoredModel, text: str) -> StoredModel:
    return type(model).model_validate_json(text)


def read_value(model: StoredModel, text: str) -> StoredModel:
    return type(model).from_json_value(json.loads(text))


def read_payload(model: StoredModel, text: str) -> StoredModel:
    """Reads as workflows do."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=text.encode())
    read: StoredModel = SagaPayloadConverter().from_payload(payload, type(model))
    return read


READERS = [read_json, read_value, read_payload]


@pytest.mark.parametrize("model", MODELS, ids=name_of)
@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("found", [1, 3])
def test_a_stored_model_of_another_format_is_refused(
    model: StoredModel, read: Callable[[StoredModel, str], StoredModel], found: int
) -> None:
    """The other fields are not read, as their meaning is unknown."""
    with pytest.raises(WireFormatError, match=f"^{name_of(model)} has wire format {found}, "):
        read(model, json.dumps({"format": found}))


@pytest.mark.parametrize("model", MODELS, ids=name_of)
@pytest.mark.parametrize("read", READERS)
def test_a_stored_model_without_a_format_is_format_1(
    model: StoredModel, read: Callable[[StoredModel, str], StoredModel]
) -> None:
    """Version 0.1 wrote no number."""
    content = json.loads(model.model_dump_json())
    del content["format"]

    with pytest.raises(WireFormatError, match=f"^{name_of(model)} {SENTENCE}$"):
        read(model, json.dumps(content))


@pytest.mark.parametrize("model", MODELS, ids=name_of)
@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("found", ["2", "pdf", True, None])
def test_a_format_that_is_no_number_belongs_to_another_program(
    model: StoredModel, read: Callable[[StoredModel, str], StoredModel], found: object
) -> None:
    """Such data is no stored model at all."""
    with pytest.raises(ValidationError, match="format"):
        read(model, json.dumps(json.loads(model.model_dump_json()) | {"format": found}))


def completed(value: object) -> HistoryEvent:
    """The event of a workflow that completed with a result."""
    payload = SagaPayloadConverter().to_payload(value)
    result = Payloads(payloads=[payload])
    return HistoryEvent(
        event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
        workflow_execution_completed_event_attributes={"result": result},  # type: ignore[arg-type]
    )


READER = ClosureReader(PayloadReader(pydantic_data_converter))


@pytest.mark.parametrize("value", [{"format": "pdf"}, {"format": 3, "result": 1}, {"result": 1}])
def test_the_result_of_a_root_saga_may_be_anything(value: object) -> None:
    """Only the result of a child saga is a stored model."""
    closure = READER.read_own(completed(value), is_child=False)

    assert closure is not None
    assert (closure.status, closure.pending) == (CloseStatus.COMPLETED, None)


@pytest.mark.parametrize("value", [7, {"total": 7}, {"format": "pdf", "result": 1}])
def test_a_bare_result_of_a_child_reports_no_compensations(value: object) -> None:
    """The worker of the child has no `SagaPlugin`."""
    closure = READER.read_own(completed(value), is_child=True)

    assert closure is not None
    assert closure.pending is None


def test_the_result_of_a_child_of_another_format_is_refused() -> None:
    """The pending compensations of the child would be lost."""
    with pytest.raises(WireFormatError):
        READER.read_own(completed({"format": 3, "result": 1}), is_child=True)


@pytest.mark.parametrize("error", [WireFormatError, TooLateError, DefinitionError])
def test_a_child_that_closes_with_our_error_has_not_compensated(error: type[SagaError]) -> None:
    """As the parent concludes; classes with `failure_exception_types` close so."""
    assert not reports_pending(ApplicationError("no", type=error.__name__))


@pytest.mark.parametrize("number", [None, 1])
def test_operators_do_not_read_a_history_of_another_format(number: int | None) -> None:
    """`show`, `preview`, `rescue` and outcomes read histories through this function."""
    history = history_of_format(number)

    with pytest.raises(WireFormatError, match=f"^the history of saga '{history.workflow_id}' {SENTENCE}$"):
        read_history(history.workflow_id, history.events, pydantic_data_converter)


@pytest.mark.parametrize("number", [None, 1])
async def test_a_replayer_refuses_a_history_of_another_format(number: int | None) -> None:
    """Temporal compares no headers: without the check, the replay would pass."""
    history = history_of_format(number)

    with pytest.raises(
        WireFormatError, match=f"^the history of workflow '{history.workflow_id}' {SENTENCE}$"
    ):
        await Replayer(workflows=[PaymentSaga], plugins=[SagaPlugin()]).replay_workflow(history)


async def test_a_replayer_refuses_one_history_of_several() -> None:
    """The histories before are replayed."""
    replayed: list[str] = []

    async def histories() -> AsyncIterator[WorkflowHistory]:
        yield history_of_format(FORMAT)
        yield history_of_format(1)

    async def replay() -> None:
        replayer = Replayer(workflows=[PaymentSaga], plugins=[SagaPlugin()])
        async with replayer.workflow_replay_iterator(histories()) as results:
            async for result in results:
                assert result.replay_failure is None
                replayed.append(result.history.workflow_id)

    with pytest.raises(WireFormatError):
        await replay()
    assert len(replayed) == 1


async def test_a_recording_of_another_format_differs(tmp_path: Path) -> None:
    """The sentence is the difference, and the other recordings are replayed."""
    old = write_recording(tmp_path / "old", [history_of_format(None)])
    new = write_recording(tmp_path / "new", [history_of_format(FORMAT)])

    replayed = await replay_recordings([old, new], [PaymentSaga])

    subject = f"the history of workflow '{old.manifest.saga_id}'"
    assert [each.difference for each in replayed] == [f"{subject} {SENTENCE}", ""]
