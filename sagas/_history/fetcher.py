"""Fetches the histories of sagas, children and rescues from the server."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from typing import NamedTuple

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ContinueAsNewInitiator, WorkflowExecutionStatus
from temporalio.api.errordetails.v1 import NamespaceNotFoundFailure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    ListWorkflowExecutionsRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from .._core.ids import quoted, rescue_id
from .._errors import SagaError, SagaNotFoundError, WireFormatError
from .parser import read_history
from .payload_decoder import PayloadDecoder
from .saga_record import ChildRecord, SagaRecord

NOT_FOUND_CODES = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT})
"""The answers of a server that has no such workflow or run."""


class CurrentRun(NamedTuple):
    """The current run of a workflow."""

    run_id: str
    is_open: bool


class HistoryFetcher:
    """Reads sagas from the histories on a server.

    Args:
        client: A client with the data converter of the sagas.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def fetch_saga(self, saga_id: str, *, run_id: str = "") -> SagaRecord:
        """Fetches a saga without children: the successive runs up to the current run, and superseded runs.

        Args:
            saga_id: The workflow id.
            run_id: The last run to read; the current run by default.

        Raises:
            SagaNotFoundError: The workflow is missing on the server.
            SagaError: The history was written with another data converter.
        """
        runs = _RunHistories(saga_id, self._fetch_events)
        if run_id:
            record = await self._read(runs, run_id)
        else:
            described = await self._describe(saga_id)
            record = await self._read(runs, described.workflow_execution_info.execution.run_id)
            record.read_at = datetime.now(UTC)
            paused = {each.activity_id for each in described.pending_activities if each.paused}
            for activity in record.activities:
                activity.is_paused = activity.is_under_way and activity.activity_id in paused
        if record.resets:
            for run in await runs.superseded(await self._list_run_ids(saga_id), record.run_id):
                if (superseded := await self._read(runs, run)).first_run_id == record.first_run_id:
                    record.superseded_runs.append(superseded)
            record.superseded_runs.sort(key=_closed_at)
        return record

    async def fetch_family(self, saga_id: str, *, run_id: str = "") -> SagaRecord:
        """Fetches a saga with all children and independent sagas at any depth, and the rescues of each.

        Raises:
            SagaNotFoundError: The workflow is missing on the server.
            SagaError: A history was written with another data converter.
        """
        record = await self.fetch_saga(saga_id, run_id=run_id)
        for child in (*record.children, *record.independent_sagas):
            child.record = await self._fetch_child(child)
        for superseded in record.superseded_runs:
            await self._fetch_superseded_children(record, superseded)
        closure = record.closure
        may_have_rescues = closure is not None and not (record.parent and closure.pending is not None)
        if may_have_rescues or record.superseded_runs:
            record.rescues = await self.fetch_rescues(saga_id)
        return record

    async def fetch_rescues(self, saga_id: str) -> list[SagaRecord]:
        """Fetches the rescue workflows of sagas with an id, in the order of their numbers."""
        rescues: list[SagaRecord] = []
        with suppress(SagaNotFoundError):
            for number in count(1):
                rescues.append(await self.fetch_saga(rescue_id(saga_id, number)))
        return rescues

    async def current_run(self, workflow_id: str) -> CurrentRun:
        """Describes the current run of a workflow.

        Raises:
            SagaNotFoundError: The workflow is missing on the server.
        """
        info = await self.describe(workflow_id)
        return CurrentRun(info.execution.run_id, is_open(info))

    async def describe(self, workflow_id: str) -> WorkflowExecutionInfo:
        """Returns the server's description of the current run of a workflow.

        Raises:
            SagaNotFoundError: The workflow is missing on the server.
        """
        return (await self._describe(workflow_id)).workflow_execution_info

    async def _describe(self, workflow_id: str) -> DescribeWorkflowExecutionResponse:
        # Not by `handle.describe()`: temporalio 1.35 cannot read the status of a paused workflow.
        request = DescribeWorkflowExecutionRequest(
            namespace=self._client.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
        )
        try:
            response = await self._client.workflow_service.describe_workflow_execution(request)
        except RPCError as error:
            if is_workflow_missing(error):
                raise SagaNotFoundError(workflow_id) from error
            raise
        return response

    async def _fetch_child(self, child: ChildRecord) -> SagaRecord | None:
        if child.has_start_failed:
            return None
        try:
            return await self.fetch_family(child.id)
        except SagaNotFoundError:
            child.is_missing = not child.has_started
            return None

    async def _fetch_superseded_children(self, record: SagaRecord, superseded: SagaRecord) -> None:
        """Fetches the children of a superseded run.

        A child supersedes an earlier child with the same id from a superseded run.
        """
        for independent in superseded.independent_sagas:
            independent.record = await self._fetch_child(independent)
        current = {child.address: child.record for child in record.children if child.record}
        for child in superseded.children:
            child.record = await self._fetch_child(child)
            if child.record is None or child.record.first_run_id in ("", child.run_id) or not child.run_id:
                continue
            try:
                child.record = await self._fetch_earlier_child(child)
            except SagaNotFoundError:
                # The id of the child belongs to the later child, and the earlier one is no longer kept.
                child.record = None
                continue
            if (later := current.get(child.address)) is not None:
                later.superseded_runs.append(child.record)

    async def _fetch_earlier_child(self, child: ChildRecord) -> SagaRecord:
        """Fetches a child, up to the last run, after a later child has taken over the id."""
        record = await self.fetch_family(child.id, run_id=child.run_id)
        while record.continued_as:
            record = await self.fetch_family(child.id, run_id=record.continued_as)
        return record

    async def _read(self, runs: "_RunHistories", run_id: str) -> SagaRecord:
        """Reads a run and all predecessors."""
        events = await runs.up_to(run_id)
        try:
            record = read_history(runs.workflow_id, events, self._client.data_converter)
        except WireFormatError:
            raise
        except Exception as error:
            raise _unreadable(runs.workflow_id, error) from error
        record.run_id = run_id
        return record

    async def _list_run_ids(self, workflow_id: str) -> list[str]:
        """Lists the runs of a workflow; the server's list lags behind by a moment."""
        # Not by `client.list_workflows()`, for the reason given in `current_run`.
        request = ListWorkflowExecutionsRequest(
            namespace=self._client.namespace, query=f"WorkflowId = {quoted(workflow_id)}", page_size=1000
        )
        response = await self._client.workflow_service.list_workflow_executions(request)
        return [info.execution.run_id for info in response.executions]

    async def _fetch_events(self, workflow_id: str, run_id: str) -> list[HistoryEvent]:
        handle = self._client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            events = [event async for event in handle.fetch_history_events()]
        except RPCError as error:
            if is_workflow_missing(error):
                raise SagaNotFoundError(workflow_id) from error
            raise
        decoder = PayloadDecoder(workflow_id, self._client.namespace, self._client.data_converter)
        try:
            for event in events:
                await decoder.decode(event)
        except Exception as error:
            raise _unreadable(workflow_id, error) from error
        return events


def is_open(info: WorkflowExecutionInfo) -> bool:
    """Whether a run has not closed; a paused run is open."""
    return info.status in (
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
    )


class _RunHistories:
    """The histories of the runs of a workflow; each is fetched once.

    Args:
        workflow_id: The workflow id.
        fetch: Fetches the events of a run, given the workflow id and the run id.
    """

    def __init__(self, workflow_id: str, fetch: Callable[[str, str], Awaitable[list[HistoryEvent]]]) -> None:
        self.workflow_id, self._fetch = workflow_id, fetch
        self._fetched: dict[str, list[HistoryEvent]] = {}

    async def up_to(self, run_id: str) -> list[HistoryEvent]:
        """The events of a run, after the events of all predecessors."""
        events = await self._events(run_id)
        predecessor = _predecessor(events)
        while predecessor:
            try:
                earlier = await self._events(predecessor)
            except SagaNotFoundError:
                break  # The retention of the predecessor is over.
            predecessor, events = _predecessor(earlier), [*earlier, *events]
        return events

    async def superseded(self, listed: Iterable[str], current: str) -> list[str]:
        """The last run of each superseded chain of runs.

        The history after a reset names the source run. After two resets of the same run, only the server's
        list names the run of the first reset.

        Args:
            listed: The runs in the server's list.
            current: The current run.
        """
        waiting, seen = [current, *listed], set[str]()
        superseded: list[str] = []
        while waiting:
            if (run_id := waiting.pop()) in seen:
                continue
            seen.add(run_id)
            try:
                events = await self._events(run_id)
            except SagaNotFoundError:
                continue
            successor = events[-1].workflow_execution_continued_as_new_event_attributes.new_execution_run_id
            if not successor and run_id != current:
                superseded.append(run_id)
            waiting += filter(None, [successor, _predecessor(events), *map(_base_run, events)])
        return superseded

    async def _events(self, run_id: str) -> list[HistoryEvent]:
        if run_id not in self._fetched:
            self._fetched[run_id] = await self._fetch(self.workflow_id, run_id)
        return self._fetched[run_id]


def is_workflow_missing(error: RPCError) -> bool:
    """Whether the workflow is missing on the server; a missing namespace is another error."""
    is_namespace_missing = any(
        detail.Is(NamespaceNotFoundFailure.DESCRIPTOR) for detail in error.grpc_status.details
    )
    return error.status in NOT_FOUND_CODES and not is_namespace_missing


def _unreadable(workflow_id: str, error: Exception) -> SagaError:
    """The error for every exception of a converter or codec: pending compensations are never guessed."""
    return SagaError(
        f"the history of saga {workflow_id!r} cannot be decoded ({type(error).__name__}); "
        "connect with the data converter of the saga's workers"
    )


def _predecessor(events: Sequence[HistoryEvent]) -> str:
    """The run before a continue-as-new; a retry or a cron schedule starts another saga instead."""
    started = events[0].workflow_execution_started_event_attributes
    is_same_saga = started.initiator == ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_WORKFLOW
    return started.continued_execution_run_id if is_same_saga else ""


def _base_run(event: HistoryEvent) -> str:
    """The source run of a reset at this event; empty for every other event."""
    return event.workflow_task_failed_event_attributes.base_run_id


def _closed_at(record: SagaRecord) -> datetime:
    return record.closure.closed_at if record.closure else datetime.max.replace(tzinfo=UTC)
