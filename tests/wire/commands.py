"""The commands of the current code in a replay of every stored history, to the byte.

A replay needs no server. A workflow answers each activation with commands; the commands hold the headers,
ids, inputs, memos, summaries, policies, results and failures of a running saga. Stack traces are left out,
because traces name files. The type of a cause is left out as well, because Temporal's SDK writes the name
of the class as the type of each error of this project that is the cause of a failure.
"""

import asyncio
import base64
from typing import Any, cast

from google.protobuf.json_format import MessageToDict
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import WorkflowHistory
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

from .samples import read_story, recorded, replayer


def commands() -> dict[str, object]:
    """The commands of every stored run, one list for each activation."""
    return asyncio.run(_commands())


def stories() -> dict[str, object]:
    """The timeline and the preview of every stored run."""
    return {name: read_story(history) for name, history in recorded()}


async def _commands() -> dict[str, object]:
    return {name: await _replayed(history) for name, history in recorded()}


async def _replayed(history: WorkflowHistory) -> list[object]:
    runner = _Runner()
    await replayer(runner).replay_workflow(history)
    return runner.completions


class _Runner(UnsandboxedWorkflowRunner):
    """Records the commands that answer each activation."""

    def __init__(self) -> None:
        self.completions: list[object] = []

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        activate = instance.activate

        def record(activation: WorkflowActivation) -> WorkflowActivationCompletion:
            completion = activate(activation)
            if commands := MessageToDict(completion)["successful"].get("commands"):
                self.completions.append(_plain(commands))
            return completion

        # The instance has no hook for an observer.
        instance.activate = record  # type: ignore[method-assign, assignment]
        return instance


def _plain(value: object, *, is_cause: bool = False) -> object:
    if isinstance(value, list):
        return [_plain(each) for each in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    found = cast("dict[str, Any]", value)
    if set(found) in ({"metadata"}, {"metadata", "data"}) and "encoding" in found["metadata"]:
        metadata = {name: _decoded(text) for name, text in found["metadata"].items()}
        return {"metadata": metadata, "data": _decoded(found.get("data", ""))}
    return {
        name: _without_type(each) if is_cause and name == "applicationFailureInfo" else _part(name, each)
        for name, each in sorted(found.items())
        if name != "stackTrace"
    }


def _part(name: str, value: object) -> object:
    return _plain(value, is_cause=name == "cause")


def _without_type(info: dict[str, object]) -> object:
    return _plain({name: each for name, each in info.items() if name != "type"})


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
