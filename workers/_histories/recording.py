"""Recordings: the histories of a saga as files.

A recording is a folder with a manifest and a file per workflow run, runs of children and later runs included.
Payloads are stored as the server has them; worker identities and stack traces are left out.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import cast

from google.protobuf.json_format import ParseError
from pydantic import BaseModel, ConfigDict, ValidationError
from temporalio.client import WorkflowHistory

from .._errors import ConfigurationError
from .event_text import event_type_of

MANIFEST = "manifest.json"
LEFT_OUT = frozenset({"stackTrace", "identity"})
"""Fields that differ between machines, and that a replay ignores."""


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
    """The description of a recording."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    saga_id: str
    workflow_type: str
    started_at: str
    sdk: str
    """The version of this SDK that made the recording."""
    temporalio: str
    """The version of temporalio that the first workflow task names."""
    runs: tuple[RecordedRun, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A manifest and its histories, in the same order."""

    folder: Path
    manifest: Manifest
    histories: tuple[WorkflowHistory, ...]


def write_recording(folder: Path, histories: Sequence[WorkflowHistory]) -> Recording:
    """Writes histories, the root's first, as a recording; the same histories give the same files."""
    folder.mkdir(parents=True)
    runs = tuple(_write_run(folder, number, each) for number, each in enumerate(histories, start=1))
    root = histories[0]
    manifest = Manifest(
        saga_id=root.workflow_id,
        workflow_type=runs[0].workflow_type,
        started_at=root.events[0].event_time.ToDatetime().isoformat(timespec="seconds") + "Z",
        sdk=version("durable-sagas"),
        temporalio=_temporalio_version(root),
        runs=runs,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Recording(folder, manifest, tuple(histories))


def read_recordings(folder: Path) -> list[Recording]:
    """Reads every recording in a folder and its subfolders.

    Raises:
        ConfigurationError: The folder has no recording, or a file is unreadable.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {str(folder)!r}")
    manifests = sorted(folder.rglob(MANIFEST))
    if not manifests:
        raise ConfigurationError(f"there is no recording in {str(folder)!r}: no {MANIFEST} was found")
    return [_read_recording(manifest) for manifest in manifests]


def _write_run(folder: Path, number: int, history: WorkflowHistory) -> RecordedRun:
    started = history.events[0].workflow_execution_started_event_attributes
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", started.workflow_type.name)
    run = RecordedRun(
        file=f"{number}-{name}.json",
        workflow_type=started.workflow_type.name,
        workflow_id=history.workflow_id,
        run_id=history.run_id,
        events=len(history.events),
        last_event=event_type_of(history.events[-1]),
    )
    content = json.dumps(_normalize(json.loads(history.to_json())), indent=1)
    (folder / run.file).write_text(f"{content}\n", encoding="utf-8")
    return run


def _read_recording(path: Path) -> Recording:
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
        kind = "manifest" if file == path else "history"
        raise ConfigurationError(f"{str(file)!r} is not a valid {kind}") from error
    return Recording(path.parent, manifest, tuple(histories))


def _temporalio_version(history: WorkflowHistory) -> str:
    versions = (
        event.workflow_task_completed_event_attributes.sdk_metadata.sdk_version for event in history.events
    )
    return next(filter(None, versions), "")


def _normalize(value: object) -> object:
    """Removes the fields in `LEFT_OUT` and orders all keys, because protobuf maps have no order."""
    if isinstance(value, dict):
        # Keys such as `eventId` and `eventType` come first: a reader then sees first which event follows.
        pairs = sorted(
            cast("dict[str, object]", value).items(),
            key=lambda pair: (not pair[0].startswith("event"), pair[0]),
        )
        return {key: _normalize(each) for key, each in pairs if key not in LEFT_OUT}
    if isinstance(value, list):
        return [_normalize(each) for each in cast("list[object]", value)]
    return value
