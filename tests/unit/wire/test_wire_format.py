"""Data of another wire format is refused with a sentence, wherever the data is read."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from examples.payment.saga import PaymentSaga
from sagas import SagaPlugin
from sagas._core.purpose import Purpose
from sagas._errors import WireFormatError
from sagas._history.parser import read_history
from sagas._wire.activity_header import HEADER, ActivityHeader
from sagas._wire.child_saga import ChildMemo, ChildResult
from sagas._wire.continued_state import ContinuedState, LedgerSnapshot
from sagas._wire.rescue import PendingCompensations, RescueRequest, RescueResult
from sagas._wire.stored_model import FORMAT, StoredModel
from tests.histories.folders import CURRENT
from workers import ConfigurationError, read_recordings, replay_recordings
from workers._histories.recording import write_recording

MODELS: list[StoredModel] = [
    ActivityHeader(purpose=Purpose.STEP),
    ChildMemo(parent_id="order-7"),
    ChildResult[str](result="r"),
    ContinuedState(ledger=LedgerSnapshot()),
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


@pytest.mark.parametrize("model", MODELS, ids=name_of)
@pytest.mark.parametrize("found", [1, 3, "2", None])
def test_a_stored_model_of_another_format_is_refused(model: StoredModel, found: object) -> None:
    """The other fields are not read, as their meaning is unknown."""
    with pytest.raises(WireFormatError, match=f"^{name_of(model)} has wire format {found!r}, "):
        type(model).model_validate_json(json.dumps({"format": found}))


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_a_stored_model_without_a_format_is_format_1(model: StoredModel) -> None:
    """Version 0.1 wrote no number."""
    content = json.loads(model.model_dump_json())
    del content["format"]

    with pytest.raises(WireFormatError, match=f"^{name_of(model)} {SENTENCE}$"):
        type(model).model_validate_json(json.dumps(content))


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


async def test_a_recording_of_another_format_is_refused(tmp_path: Path) -> None:
    """The sentence names the folder of the recording."""
    recording = write_recording(tmp_path / "old", [history_of_format(None)])

    with pytest.raises(ConfigurationError, match=f"^'{tmp_path / 'old'}' cannot be replayed: .* {SENTENCE}$"):
        await replay_recordings([recording], [PaymentSaga])
