"""The check of histories before a replay."""

from collections.abc import AsyncIterator
from contextlib import suppress

from pydantic import ValidationError
from temporalio.client import WorkflowHistory

from .._errors import WireFormatError
from .._wire.activity_header import HEADER, read_header


async def refuse_other_formats(histories: AsyncIterator[WorkflowHistory]) -> AsyncIterator[WorkflowHistory]:
    """Yields each history, after a check of the activity headers.

    A replay alone would not detect another format: Temporal does not compare headers, and the replayed
    workflow does not see the headers.

    Raises:
        WireFormatError: A saga has another wire format.
    """
    async for history in histories:
        try:
            _read_headers(history)
        except WireFormatError as error:
            subject = f"the history of workflow {history.workflow_id!r}"
            raise WireFormatError(subject, error.found, error.expected) from error
        yield history


def _read_headers(history: WorkflowHistory) -> None:
    for event in history.events:
        header = event.activity_task_scheduled_event_attributes.header
        if HEADER in header.fields:
            # An activity outside of a saga may have a header with the same name.
            with suppress(ValidationError):
                read_header(header.fields[HEADER])
