"""Histories of sagas as files: recorded from a server, and replayed by the code of today.

One folder per saga: a manifest, and one file per workflow run, those of its children and of runs that
continued as new among them. Payloads are as the server has them; who recorded what on which machine, and
stack traces, are left out.
"""

import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import cast

from google.protobuf.json_format import ParseError
from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from sagas import SagaError, SagaPlugin
from sagas.operator import SAGA_STATUS

from ._errors import ConfigurationError

MANIFEST = "manifest.json"
ELSEWHERE = frozenset({"stackTrace", "identity"})
"""Fields that say where a saga ran, which a replay does not look at."""
SOMETHING_ELSE = re.compile(r"(.+) machine does not handle this event: HistoryEvent\(id: (\d+), \w+\)")
ANOTHER = re.compile(r"of scheduled event '(?P<event>.+?)'|for change (?P<patch>.+?),")


class UnknownSagaError(SagaError):
    """The server has no saga with this id."""


class RecordedRun(BaseModel):
    """One workflow run of a recording."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    workflow_type: str
    workflow_id: str
    run_id: str
    events: int
    last_event: str


class Manifest(BaseModel):
    """What a recording is of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    saga: str
    workflow_type: str
    started_at: str
    sdk: str
    """The version of this SDK that was installed where the saga was recorded."""
    temporalio: str
    """The version of Temporal's SDK that its first workflow task says of itself."""
    runs: tuple[RecordedRun, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A manifest, and the histories that it names, in the same order."""

    folder: Path
    manifest: Manifest
    histories: tuple[WorkflowHistory, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of the replay of one history.

    Args:
        recording: The recording that it belongs to.
        run: The history.
        difference: Which event the code of today does not lead to, and what differs; empty if all is well.
    """

    recording: Recording
    run: RecordedRun
    difference: str


async def record_history(client: Client, saga_id: str, folder: Path) -> Recording:
    """Writes the history of a saga, its children and its later runs into a folder of its own.

    Raises:
        UnknownSagaError: The server has none with this id.
        ConfigurationError: There is a recording of that name.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", saga_id).lstrip(".")
    target = folder / name
    if not name or target.exists():
        raise ConfigurationError(
            f"{str(target)!r} is there already: delete it first, or choose another folder"
        )
    try:
        histories = [history async for history in _histories_of(client, saga_id)]
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise UnknownSagaError(f"there is no saga {saga_id!r} in namespace {client.namespace!r}") from error
    return write_recording(target, histories)


def write_recording(folder: Path, histories: Sequence[WorkflowHistory]) -> Recording:
    """Writes histories, that of the root first, as one recording; the same ones give the same files."""
    runs: list[RecordedRun] = []
    folder.mkdir(parents=True)
    for number, history in enumerate(histories, start=1):
        started = history.events[0].workflow_execution_started_event_attributes
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", started.workflow_type.name)
        run = RecordedRun(
            file=f"{number}-{name}.json",
            workflow_type=started.workflow_type.name,
            workflow_id=history.workflow_id,
            run_id=history.run_id,
            events=len(history.events),
            last_event=_kind(history.events[-1]),
        )
        content = json.dumps(_without_place(json.loads(history.to_json())), indent=1)
        (folder / run.file).write_text(f"{content}\n", encoding="utf-8")
        runs.append(run)
    root = histories[0]
    manifest = Manifest(
        saga=root.workflow_id,
        workflow_type=runs[0].workflow_type,
        started_at=root.events[0].event_time.ToDatetime().isoformat(timespec="seconds") + "Z",
        sdk=version("durable-sagas"),
        temporalio=_temporalio_of(root),
        runs=tuple(runs),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Recording(folder, manifest, tuple(histories))


def read_recordings(folder: Path) -> list[Recording]:
    """Every recording in a folder and the folders in it.

    Raises:
        ConfigurationError: There is none, or a file cannot be read.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {str(folder)!r}")
    manifests = sorted(folder.rglob(MANIFEST))
    if not manifests:
        raise ConfigurationError(f"there is no recording in {str(folder)!r}: no {MANIFEST} in it")
    return [_read(manifest) for manifest in manifests]


async def replay_recordings(
    recordings: Sequence[Recording],
    workflows: Sequence[type],
    *,
    data_converter: DataConverter = DataConverter.default,
) -> list[Replayed]:
    """Replays every history with these classes: the code of today must lead to the commands of then.

    Args:
        recordings: What was recorded.
        workflows: The classes of its workflows.
        data_converter: That of the sagas' client, where it is your own.

    Raises:
        ConfigurationError: There is a history of a type that none of the classes has.
    """
    given = {WorkflowDefinition.must_from_class(each).name for each in workflows}
    if missing := {run.workflow_type for each in recordings for run in each.manifest.runs} - given:
        raise ConfigurationError(
            f"there are histories of {', '.join(sorted(missing))}, and no class for them is given"
        )
    histories = [
        (recording, run, history)
        for recording in recordings
        for run, history in zip(recording.manifest.runs, recording.histories, strict=True)
    ]
    replayers = [
        Replayer(
            workflows=workflows,
            plugins=[SagaPlugin(search_attributes=has_attribute)],
            data_converter=data_converter,
            runtime=_silent_runtime(),
        )
        for has_attribute in (False, True)
    ]
    replayed: list[Replayed] = []
    for recording, run, history in histories:
        replayer = replayers[not _has_memo(history)]
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        failure = result.replay_failure
        replayed.append(Replayed(recording, run, _difference(failure, history) if failure else ""))
    return replayed


def _has_memo(history: WorkflowHistory) -> bool:
    """Whether its saga wrote its status into its memo, as it was told to use no search attribute."""
    memos = (event.workflow_properties_modified_event_attributes.upserted_memo for event in history.events)
    return any(SAGA_STATUS.name in memo.fields for memo in memos)


@lru_cache
def _silent_runtime() -> Runtime:
    """What core itself has to say of a difference, it would say on stdout."""
    return Runtime(telemetry=TelemetryConfig(logging=None))


async def _histories_of(client: Client, saga_id: str) -> AsyncIterator[WorkflowHistory]:
    """The root's runs in their order, and then those of each child."""
    waiting = [(saga_id, await _first_run(client, saga_id))]
    while waiting:
        workflow_id, run_id = waiting.pop(0)
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        yield history
        next_run = history.events[-1].workflow_execution_continued_as_new_event_attributes
        if next_run.new_execution_run_id:
            waiting.insert(0, (workflow_id, next_run.new_execution_run_id))
        waiting += [
            (child.workflow_id, child.run_id)
            for event in history.events
            if event.HasField("child_workflow_execution_started_event_attributes")
            and (child := event.child_workflow_execution_started_event_attributes.workflow_execution)
        ]


async def _first_run(client: Client, saga_id: str) -> str:
    async for event in client.get_workflow_handle(saga_id).fetch_history_events(page_size=1):
        return event.workflow_execution_started_event_attributes.first_execution_run_id
    raise AssertionError("a history has a first event")


def _read(path: Path) -> Recording:
    file = path
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
        histories: list[WorkflowHistory] = []
        for run in manifest.runs:
            file = path.parent / run.file
            histories.append(WorkflowHistory.from_json(run.workflow_id, file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(f"{str(file)!r} cannot be read: {error.strerror}") from error
    except (ValidationError, ParseError, ValueError) as error:
        what = "manifest" if file == path else "history"
        raise ConfigurationError(f"{str(file)!r} is no {what} that can be read") from error
    return Recording(path.parent, manifest, tuple(histories))


def _difference(failure: Exception, history: WorkflowHistory) -> str:
    """The event that the code does not lead to, and what differs, out of what core says."""
    found = re.search(r'message: "((?:[^"\\]|\\.)*)"', str(failure))
    text = found[1].replace('\\"', '"').partition("\\n")[0] if found else str(failure).partition("\n")[0]
    text = text.removeprefix("[TMPRL1100] ").removeprefix("Nondeterminism error: ")
    if not isinstance(failure, NondeterminismError):
        return f"the code of today fails: {text}"
    if another := ANOTHER.search(text):
        name = another["event"] or another["patch"]
        events = [event for event in history.events if name in _names(event)]
        return f"{_place(events[0])}: {text}" if events else text
    if else_ := SOMETHING_ELSE.fullmatch(text):
        event = history.events[int(else_[2]) - 1]
        return f"{_place(event)}: the code of today does something else there ({else_[1].lower()})"
    return text


def _place(event: HistoryEvent) -> str:
    name = next(iter(_names(event)), "")
    return f"event {event.event_id}, {_kind(event)}{f' {name!r}' if name else ''}"


def _names(event: HistoryEvent) -> list[str]:
    """What an event is about, in the words of the workflow."""
    activity = event.activity_task_scheduled_event_attributes
    child = event.start_child_workflow_execution_initiated_event_attributes
    timer = event.timer_started_event_attributes
    marker = event.marker_recorded_event_attributes.details
    patches = [json.loads(payload.data)["id"] for payload in marker["patch-data"].payloads] if marker else []
    names = (
        *patches,
        activity.activity_id,
        activity.activity_type.name,
        child.workflow_id,
        child.workflow_type.name,
        timer.timer_id,
    )
    return [name for name in names if name]


def _kind(event: HistoryEvent) -> str:
    words = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)


def _temporalio_of(history: WorkflowHistory) -> str:
    versions = (
        event.workflow_task_completed_event_attributes.sdk_metadata.sdk_version for event in history.events
    )
    return next(filter(None, versions), "")


def _without_place(value: object) -> object:
    if isinstance(value, dict):
        # In one order, as maps have none; an event begins with what says which it is.
        pairs = sorted(
            cast("dict[str, object]", value).items(),
            key=lambda pair: (not pair[0].startswith("event"), pair[0]),
        )
        return {key: _without_place(each) for key, each in pairs if key not in ELSEWHERE}
    if isinstance(value, list):
        return [_without_place(each) for each in cast("list[object]", value)]
    return value
