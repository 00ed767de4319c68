"""What the code of today has a server do, in replay of every stored history: commands, to the byte.

A replay needs no server. Each activation of a workflow is answered with commands; these hold the headers,
ids, inputs, memos, summaries, policies, results and failures that a running saga writes. A stack trace is
left out, as the text of a trace names files. The type of a cause is left out as well, as Temporal's SDK takes
the name of the class for the type of each error of ours that is the cause of a failure.
"""

import asyncio
import base64
from typing import Any, cast

from google.protobuf.json_format import MessageToDict
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.client import WorkflowHistory
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

from .samples import recorded, replayer, told


def commands() -> dict[str, object]:
    """The commands of every stored run, one list for each activation."""
    return asyncio.run(_commands())


def stories() -> dict[str, object]:
    """What is read of every stored run."""
    return {name: told(history) for name, history in recorded()}


async def _commands() -> dict[str, object]:
    return {name: await _replayed(history) for name, history in recorded()}


async def _replayed(history: WorkflowHistory) -> list[object]:
    runner = _Runner()
    await replayer(runner).replay_workflow(history)
    return runner.completions


class _Runner(UnsandboxedWorkflowRunner):
    """Takes down what each activation is answered with."""

    def __init__(self) -> None:
        self.completions: list[object] = []

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        activate = instance.activate

        def noted(activation: WorkflowActivation) -> WorkflowActivationCompletion:
            completion = activate(activation)
            if commands := MessageToDict(completion)["successful"].get("commands"):
                self.completions.append(_plain(commands))
            return completion

        # The instance has no other way to be watched.
        instance.activate = noted  # type: ignore[method-assign, assignment]
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
