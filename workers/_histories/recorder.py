"""Recording the histories of a saga from a server."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from sagas.operator import SagaNotFoundError

from .._errors import ConfigurationError
from .recording import Recording, write_recording


async def record_history(client: Client, saga_id: str, folder: Path) -> Recording:
    """Writes the histories of a saga, its children and its later runs into a subfolder of `folder`.

    Raises:
        SagaNotFoundError: The server has no saga of this id.
        ConfigurationError: The subfolder exists already.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", saga_id).lstrip(".")
    target = folder / name
    if not name or target.exists():
        raise ConfigurationError(
            f"{str(target)!r} exists already: delete the recording first, or choose another folder"
        )
    try:
        histories = [history async for history in _fetch_histories(client, saga_id)]
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        raise SagaNotFoundError(saga_id) from error
    return write_recording(target, histories)


async def _fetch_histories(client: Client, saga_id: str) -> AsyncIterator[WorkflowHistory]:
    """Fetches the runs of the root in order, then the runs of each child."""
    pending = [(saga_id, await _first_run_id(client, saga_id))]
    while pending:
        workflow_id, run_id = pending.pop(0)
        history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        yield history
        next_run = history.events[-1].workflow_execution_continued_as_new_event_attributes
        if next_run.new_execution_run_id:
            pending.insert(0, (workflow_id, next_run.new_execution_run_id))
        pending += [
            (child.workflow_id, child.run_id)
            for event in history.events
            if event.HasField("child_workflow_execution_started_event_attributes")
            and (child := event.child_workflow_execution_started_event_attributes.workflow_execution)
        ]


async def _first_run_id(client: Client, saga_id: str) -> str:
    async for event in client.get_workflow_handle(saga_id).fetch_history_events(page_size=1):
        return event.workflow_execution_started_event_attributes.first_execution_run_id
    raise AssertionError("every history has a first event")
