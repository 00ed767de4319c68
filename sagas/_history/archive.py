"""Fetches the histories of a saga and of its children, and reads them."""

from collections.abc import Sequence

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ContinueAsNewInitiator, WorkflowExecutionStatus
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from .._errors import SagaError, SagaNotFoundError
from .._keys import RESCUE
from .decoding import Decoder
from .reading import read_history
from .record import Record

UNREADABLE = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT})


class Archive:
    """What a server keeps of sagas.

    Args:
        client: Its data converter decodes what the sagas have encoded.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def record(self, saga_id: str) -> Record:
        """Reads the history of a saga, from its first run to its current one.

        Raises:
            SagaNotFoundError: The server knows none.
            SagaError: It was written with another data converter.
        """
        run_id, _ = await self.execution(saga_id)
        events = await self._events(saga_id, run_id)
        before = _run_before(events)
        while before:
            try:
                earlier = await self._events(saga_id, before)
            except SagaNotFoundError:
                break  # older than what the server keeps
            before, events = _run_before(earlier), [*earlier, *events]
        try:
            record = read_history(saga_id, events, self._client.data_converter)
        except Exception as error:
            # Whatever a converter raises; what a saga owes must not be guessed.
            raise SagaError(
                f"the history of saga {saga_id!r} cannot be read ({type(error).__name__}): "
                "connect with the data converter that it was written with"
            ) from error
        record.run_id = run_id
        return record

    async def family(self, saga_id: str) -> Record:
        """Reads the history of a saga, and those of its children, theirs, and so on.

        Raises:
            SagaNotFoundError: The server knows none.
        """
        record = await self.record(saga_id)
        for child in record.children:
            if child.was_refused:
                continue
            try:
                child.record = await self.family(child.id)
            except SagaNotFoundError:
                child.is_missing = not child.has_started
                continue
            close = child.record.close
            if close is not None and not close.is_a_word:
                child.rescue = await self.rescue_of(child.id)
        return record

    async def rescue_of(self, saga_id: str) -> Record | None:
        """Reads the history of the workflow that made up for a saga, where there is one."""
        try:
            return await self.record(f"{saga_id}{RESCUE}")
        except SagaNotFoundError:
            return None

    async def execution(self, saga_id: str) -> tuple[str, bool]:
        """The current run of a workflow, and whether it is open.

        Raises:
            SagaNotFoundError: The server knows none.
        """
        # Asked by hand: a paused workflow has a status that temporalio 1.35 cannot read.
        request = DescribeWorkflowExecutionRequest(
            namespace=self._client.namespace, execution=WorkflowExecution(workflow_id=saga_id)
        )
        try:
            answer = await self._client.workflow_service.describe_workflow_execution(request)
        except RPCError as error:
            if error.status in UNREADABLE:
                raise SagaNotFoundError(saga_id) from error
            raise
        info = answer.workflow_execution_info
        is_open = info.status in (
            WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
            WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
        )
        return info.execution.run_id, is_open

    async def _events(self, saga_id: str, run_id: str) -> list[HistoryEvent]:
        handle = self._client.get_workflow_handle(saga_id, run_id=run_id)
        try:
            events = [event async for event in handle.fetch_history_events()]
        except RPCError as error:
            if error.status in UNREADABLE:
                raise SagaNotFoundError(saga_id) from error
            raise
        decoder = Decoder(saga_id, self._client.namespace, self._client.data_converter)
        for event in events:
            await decoder.decode(event)
        return events


def _run_before(events: Sequence[HistoryEvent]) -> str:
    """The run that this one goes on from; the run before a retry or a schedule was another saga."""
    started = events[0].workflow_execution_started_event_attributes
    is_same_saga = started.initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_WORKFLOW
    return started.continued_execution_run_id if is_same_saga else ""
