"""Fetches the histories of a saga and of its children, and reads them."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ContinueAsNewInitiator, WorkflowExecutionStatus
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from .._core.ids import quoted, rescue_id
from .._errors import SagaError, SagaNotFoundError
from .parser import read_history
from .payload_decoder import PayloadDecoder
from .saga_record import ChildRecord, SagaRecord

UNREADABLE = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT})


class HistoryFetcher:
    """What a server keeps of sagas.

    Args:
        client: Its data converter decodes what the sagas have encoded.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def record(self, saga_id: str, *, run_id: str = "") -> SagaRecord:
        """Reads the history of a saga, from its first run to its current one, with what resets have cut off.

        Args:
            saga_id: Its id.
            run_id: Its last run, where that is not the current one of its id.

        Raises:
            SagaNotFoundError: The server knows none.
            SagaError: It was written with another data converter.
        """
        runs = _Runs(saga_id, self._events)
        record = await self._read(runs, run_id or (await self.execution(saga_id))[0])
        if record.resets:
            for base in await runs.left_behind(await self._run_ids(saga_id), record.run_id):
                if (read := await self._read(runs, base)).first_run_id == record.first_run_id:
                    record.bases.append(read)
            record.bases.sort(key=_ended_at)
        return record

    async def family(self, saga_id: str, *, run_id: str = "") -> SagaRecord:
        """Reads the history of a saga, those of its children, theirs, and so on, and those of their rescues.

        Raises:
            SagaNotFoundError: The server knows none.
        """
        record = await self.record(saga_id, run_id=run_id)
        for child in record.children:
            child.record = await self._child(child)
        for base in record.bases:
            await self._add_children(record, base)
        has_said = record.parent and record.close is not None and record.close.is_a_word
        if (record.close is not None and not has_said) or record.bases:
            record.rescues = await self.rescues_of(saga_id)
        return record

    async def rescues_of(self, saga_id: str) -> list[SagaRecord]:
        """Reads the histories of the workflows that made up for sagas of an id, the first one first."""
        rescues: list[SagaRecord] = []
        with suppress(SagaNotFoundError):
            for number in count(1):
                rescues.append(await self.record(rescue_id(saga_id, number)))
        return rescues

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
            if _is_of_workflow(error):
                raise SagaNotFoundError(saga_id) from error
            raise
        info = answer.workflow_execution_info
        is_open = info.status in (
            WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
            WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
        )
        return info.execution.run_id, is_open

    async def _child(self, child: ChildRecord) -> SagaRecord | None:
        if child.was_refused:
            return None
        try:
            return await self.family(child.id)
        except SagaNotFoundError:
            child.is_missing = not child.has_started
            return None

    async def _add_children(self, record: SagaRecord, base: SagaRecord) -> None:
        """Reads the children of what a reset left behind; one that was begun anew has left something, too."""
        own = {child.address: child.record for child in record.children if child.record}
        for child in base.children:
            child.record = await self._child(child)
            if child.record is None or child.record.first_run_id in ("", child.run_id) or not child.run_id:
                continue
            try:
                child.record = await self._earlier(child)
            except SagaNotFoundError:
                # Its id tells of the later one, and nobody of this one.
                child.record = None
                continue
            if (anew := own.get(child.address)) is not None:
                anew.bases.append(child.record)

    async def _earlier(self, child: ChildRecord) -> SagaRecord:
        """Reads a child whose id another one has by now, to its last run."""
        record = await self.family(child.id, run_id=child.run_id)
        while record.continued_as:
            record = await self.family(child.id, run_id=record.continued_as)
        return record

    async def _read(self, runs: "_Runs", run_id: str) -> SagaRecord:
        """Reads a run with those that it goes on from."""
        events = await runs.until(run_id)
        try:
            record = read_history(runs.saga_id, events, self._client.data_converter)
        except Exception as error:
            raise _unreadable(runs.saga_id, error) from error
        record.run_id = run_id
        return record

    async def _run_ids(self, saga_id: str) -> list[str]:
        """Every run of an id that the server lists, which it does a moment later."""
        # Asked by hand, as in `execution`.
        request = ListWorkflowExecutionsRequest(
            namespace=self._client.namespace, query=f"WorkflowId = {quoted(saga_id)}", page_size=1000
        )
        answer = await self._client.workflow_service.list_workflow_executions(request)
        return [info.execution.run_id for info in answer.executions]

    async def _events(self, saga_id: str, run_id: str) -> list[HistoryEvent]:
        handle = self._client.get_workflow_handle(saga_id, run_id=run_id)
        try:
            events = [event async for event in handle.fetch_history_events()]
        except RPCError as error:
            if _is_of_workflow(error):
                raise SagaNotFoundError(saga_id) from error
            raise
        decoder = PayloadDecoder(saga_id, self._client.namespace, self._client.data_converter)
        try:
            for event in events:
                await decoder.decode(event)
        except Exception as error:
            raise _unreadable(saga_id, error) from error
        return events


class _Runs:
    """The histories of the runs of one workflow, each fetched once.

    Args:
        saga_id: The workflow.
        fetch: Fetches the events of a run.
    """

    def __init__(self, saga_id: str, fetch: Callable[[str, str], Awaitable[list[HistoryEvent]]]) -> None:
        self.saga_id, self._fetch = saga_id, fetch
        self._known: dict[str, list[HistoryEvent]] = {}

    async def until(self, run_id: str) -> list[HistoryEvent]:
        """The events of a run, and before them those of the runs that it goes on from."""
        events = await self._of(run_id)
        before = _run_before(events)
        while before:
            try:
                earlier = await self._of(before)
            except SagaNotFoundError:
                break  # older than what the server keeps
            before, events = _run_before(earlier), [*earlier, *events]
        return events

    async def left_behind(self, listed: Iterable[str], last: str) -> list[str]:
        """The last runs of all that resets have cut off.

        Histories name the runs that they were copied from; one that somebody has reset twice is only listed.
        """
        waiting, seen = [last, *listed], set[str]()
        left: list[str] = []
        while waiting:
            if (run_id := waiting.pop()) in seen:
                continue
            seen.add(run_id)
            try:
                events = await self._of(run_id)
            except SagaNotFoundError:
                continue
            after = events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
            if not after and run_id != last:
                left.append(run_id)
            waiting += filter(None, [after, _run_before(events), *map(_base_run, events)])
        return left

    async def _of(self, run_id: str) -> list[HistoryEvent]:
        if run_id not in self._known:
            self._known[run_id] = await self._fetch(self.saga_id, run_id)
        return self._known[run_id]


def _is_of_workflow(error: RPCError) -> bool:
    """Whether the server knows no such workflow; one that knows no such namespace has a sentence for that."""
    is_of_namespace = any(each.Is(NamespaceNotFoundFailure.DESCRIPTOR) for each in error.grpc_status.details)
    return error.status in UNREADABLE and not is_of_namespace


def _unreadable(saga_id: str, error: Exception) -> SagaError:
    """Whatever a converter or a codec raises: what a saga owes must not be guessed."""
    return SagaError(
        f"the history of saga {saga_id!r} cannot be read ({type(error).__name__}): "
        "connect with the data converter that it was written with"
    )


def _run_before(events: Sequence[HistoryEvent]) -> str:
    """The run that this one goes on from; the run before a retry or a schedule was another saga."""
    started = events[0].workflow_execution_started_event_attributes
    is_same_saga = started.initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_WORKFLOW
    return started.continued_execution_run_id if is_same_saga else ""


def _base_run(event: HistoryEvent) -> str:
    """The run that was reset to here."""
    return event.workflow_task_failed_event_attributes.base_run_id


def _ended_at(record: SagaRecord) -> datetime:
    return record.close.at if record.close else datetime.max.replace(tzinfo=UTC)
