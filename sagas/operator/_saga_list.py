"""Lists sagas by Temporal's visibility API."""

import asyncio
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count

from pydantic import BaseModel, ConfigDict
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from .._core.ids import quoted, rescue_id
from .._core.status import FAILING_CODE, Status, has_ended
from .._errors import SagaError, SagaNotFoundError
from .._history.fetcher import HistoryFetcher
from .._history.timeline import PendingWait
from .._history.timeline_builder import awaited_approvals
from .._wire.child_saga import INDEPENDENT_MEMO
from .._wire.rescue import RESCUE_TYPE
from .._wire.search_attribute import SAGA_STATUS

REPORTED_PROBLEMS: SearchAttributeKey[Sequence[str]] = SearchAttributeKey.for_keyword_list(
    "TemporalReportedProblems"
)
"""The server's own search attribute of open workflows with several failed workflow tasks in a row.

The server sets the attribute after five failures by default, which is after about a minute.
"""
FAILING = f"{REPORTED_PROBLEMS.name} IN ('category=WorkflowTaskFailed', 'category=WorkflowTaskTimedOut')"
URGENT = ("stuck", "held", "compensating")
"""The statuses of open sagas that have left the forward path, the most urgent first."""
UNFINISHED = {"terminated": "Terminated", "timed-out": "TimedOut", "failed": "Failed"}
"""The statuses of sagas whose workflow closed before the saga finished, with Temporal's names."""
PAGE_SIZE = 50
"""The number of workflow ids in one query."""
WAITING = "waiting"
"""Selects the running and held sagas that wait for an approval; not a published status."""
READ_AT_ONCE = 20
"""The number of histories that are read at the same time."""
STATUSES = frozenset({*Status, *UNFINISHED, FAILING_CODE, WAITING})
PUBLISHED = frozenset({*URGENT, Status.COMPENSATED, Status.SETTLED})
"""The statuses that a saga has only if published in the search attribute or the memo."""


class SagaSummary(BaseModel):
    """A saga in a list.

    Args:
        id: The id of the saga.
        type: The workflow type.
        status: The status; `failing-code` for an open workflow whose task fails; `terminated`, `timed-out` or
            `failed` for a workflow without a final saga status.
        rescue: The status of the last rescue; empty without a rescue.
        started_at: The time of the start.
        ended_at: The time of the close.
        task_queue: The task queue of the workflow.
        approvals: The awaited approvals; only in a list of waiting sagas.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    type: str
    status: str
    rescue: str = ""
    started_at: datetime
    ended_at: datetime | None = None
    task_queue: str
    approvals: tuple[PendingWait, ...] = ()


async def list_sagas(
    client: Client, *, status: str | None, query: str | None, limit: int
) -> tuple[SagaSummary, ...]:
    """Lists sagas; see `SagaClient.list`.

    Children count as well: a stuck child, and not the parent, is listed as stuck. The server searches the
    search attribute but no memo; workflows without the search attribute are scanned, the latest first.
    """
    if status is not None and status not in STATUSES:
        raise ValueError(f"status {status!r} does not exist; choose one of {', '.join(sorted(STATUSES))}")
    if status == WAITING:
        return await _list_waiting(client, query, limit)
    statuses = (status,) if status else (FAILING_CODE, *URGENT, Status.RUNNING.value)
    found: dict[str, list[SagaSummary]] = {each: [] for each in statuses}
    has_attribute = await _knows(client, f"{SAGA_STATUS.name} = '{Status.STUCK}'")
    if FAILING_CODE in statuses and await _knows(client, FAILING):
        full_query = _all_of(query, _where(FAILING_CODE))
        await _collect(client, full_query, {FAILING_CODE: found[FAILING_CODE]}, limit, query)
    for each in statuses:
        if each != FAILING_CODE and (has_attribute or each not in PUBLISHED):
            attribute = _attribute(each) if has_attribute else ""
            full_query = _all_of(query, _where(each), attribute)
            await _collect(client, full_query, {each: found[each]}, limit, query)
    if in_memos := {each: found[each] for each in statuses if each in PUBLISHED}:
        attribute = f"{SAGA_STATUS.name} IS NULL" if has_attribute else ""
        full_query = _all_of(query, _where(next(iter(in_memos))), attribute)
        await _collect(client, full_query, in_memos, limit, query)
    sagas = [saga for each in statuses for saga in found[each]][:limit]
    return await _with_rescues(client, sagas) if status in UNFINISHED else tuple(sagas)


async def _list_waiting(client: Client, user_query: str | None, limit: int) -> tuple[SagaSummary, ...]:
    """Lists the sagas that wait for an approval, children included.

    The server knows no approvals: the history of every running or held workflow is read, the latest first.
    """
    name, fetcher = SAGA_STATUS.name, HistoryFetcher(client)
    has_attribute = await _knows(client, f"{SAGA_STATUS.name} = '{Status.STUCK}'")
    attribute = f"{name} IS NULL OR {name} IN ('running', 'held')" if has_attribute else ""
    full_query = _all_of(user_query, "ExecutionStatus = 'Running'", attribute)
    found: list[SagaSummary] = []

    async def read(executions: list[WorkflowExecution]) -> None:
        approvals = await asyncio.gather(*(_approvals_of(fetcher, each) for each in executions))
        for execution, awaited in zip(executions, approvals, strict=True):
            if awaited:
                summary = await _summarize(execution)
                found.append(summary.model_copy(update={"approvals": awaited}))

    unread: list[WorkflowExecution] = []
    with _explained(full_query, user_query):
        async for execution in _list_workflows(client, full_query):
            unread.append(execution)
            if len(unread) == READ_AT_ONCE:
                await read(unread)
                unread = []
            if len(found) >= limit:
                return tuple(found[:limit])
    await read(unread)
    return tuple(found[:limit])


async def _approvals_of(fetcher: HistoryFetcher, execution: WorkflowExecution) -> tuple[PendingWait, ...]:
    try:
        record = await fetcher.fetch_saga(execution.id, run_id=execution.run_id)
    except SagaNotFoundError:
        return ()  # The server's list lags behind.
    return tuple(awaited_approvals(record)) if record.closure is None else ()


async def _knows(client: Client, query: str) -> bool:
    """Whether the server knows the search attribute of a query; a query with an unknown one is an error."""
    try:
        await client.count_workflows(query)
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        return False
    return True


async def _collect(
    client: Client,
    full_query: str,
    found: dict[str, list[SagaSummary]],
    limit: int,
    user_query: str | None,
) -> None:
    """Adds the listed sagas to `found` by status, until the first status there has reached the limit.

    Raises:
        ValueError: The server does not understand the query; the message quotes the user's part.
    """
    first = next(iter(found.values()))
    if len(first) >= limit:
        return
    with _explained(full_query, user_query):
        async for execution in _list_workflows(client, full_query):
            saga = await _summarize(execution)
            if (sagas := found.get(saga.status)) is not None and len(sagas) < limit:
                sagas.append(saga)
            if len(first) >= limit:
                return


@contextmanager
def _explained(full_query: str, user_query: str | None) -> Generator[None]:
    """Quotes the user's part of a query that the server does not understand."""
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        part = f", in {full_query!r}, which contains your query {user_query!r}" if user_query else ""
        raise ValueError(f"the server does not understand the query: {error.message}{part}") from error


async def _list_workflows(client: Client, query: str) -> AsyncIterator[WorkflowExecution]:
    try:
        async for execution in client.list_workflows(query):
            yield execution
    except ValueError as error:
        raise SagaError(
            f"temporalio cannot list a workflow with an unknown status ({error}), for example a paused one: "
            "exclude it with the query ExecutionStatus != 'Paused'"
        ) from error


async def _with_rescues(client: Client, sagas: list[SagaSummary]) -> tuple[SagaSummary, ...]:
    """Adds the status of the last rescue to each saga, and drops sagas with a newer run."""
    newest: dict[str, SagaSummary] = {}
    saga_ids, last_rescue = [saga.id for saga in sagas], dict[str, str]()
    for number in count(1):
        rescues = {rescue_id(saga_id, number): saga_id for saga_id in dict.fromkeys(saga_ids)}
        ids = [*rescues, *(rescues.values() if number == 1 else ())]
        for start in range(0, len(ids), PAGE_SIZE):
            page = ", ".join(map(quoted, ids[start : start + PAGE_SIZE]))
            async for execution in _list_workflows(client, f"WorkflowId IN ({page})"):
                run = await _summarize(execution)
                if run.id not in newest or newest[run.id].started_at < run.started_at:
                    newest[run.id] = run
        last_rescue |= {saga_id: each for each, saga_id in rescues.items() if each in newest}
        if not (saga_ids := [saga_id for each, saga_id in rescues.items() if each in newest]):
            break
    return tuple(
        saga.model_copy(update={"rescue": _rescue_status(saga, newest.get(last_rescue.get(saga.id, "")))})
        for saga in sagas
        if newest.get(saga.id, saga).started_at <= saga.started_at
    )


def _rescue_status(saga: SagaSummary, rescue: SagaSummary | None) -> str:
    """The status of a rescue; empty for the rescue of an earlier saga with the same id."""
    return rescue.status if rescue and rescue.started_at >= saga.started_at else ""


def _all_of(*conditions: str | None) -> str:
    return " AND ".join(f"({condition})" for condition in conditions if condition)


def _where(status: str) -> str:
    """The visibility query for workflows with a possible status; empty if every workflow qualifies."""
    if status in UNFINISHED:
        return f"ExecutionStatus = '{UNFINISHED[status]}'"
    match status:
        case _ if status == FAILING_CODE:
            return f"ExecutionStatus = 'Running' AND {FAILING}"
        case Status.RUNNING:
            return "ExecutionStatus = 'Running' AND ParentWorkflowId IS NULL"
        case Status.COMPLETED:
            # Not `ExecutionStatus = 'Completed'`: a workflow can go on after its saga, and be terminated
            # then.
            return f"WorkflowType != '{RESCUE_TYPE}'"
        case _:
            return "ExecutionStatus = 'Running'" if status in URGENT else ""


def _attribute(status: str) -> str:
    """The visibility query for the search attribute of workflows with a status."""
    name = SAGA_STATUS.name
    if status in UNFINISHED:
        return f"{name} IS NULL OR {name} NOT IN ('compensated', 'settled')"
    return f"{name} = '{status}'" if status in PUBLISHED else f"{name} IS NULL OR {name} = '{status}'"


async def _summarize(execution: WorkflowExecution) -> SagaSummary:
    published = execution.typed_search_attributes.get(SAGA_STATUS) or await _status_in_memo(execution)
    match execution.status:
        case _ if has_ended(published, is_child=_is_child(execution)):
            status = published
        case WorkflowExecutionStatus.RUNNING if _has_failing_code(execution):
            status = FAILING_CODE
        case WorkflowExecutionStatus.RUNNING:
            status = published or Status.RUNNING.value
        case WorkflowExecutionStatus.COMPLETED:
            status = published or Status.COMPLETED.value
        case WorkflowExecutionStatus.TERMINATED:
            status = "terminated"
        case WorkflowExecutionStatus.TIMED_OUT:
            status = "timed-out"
        case _:
            status = "failed"
    return SagaSummary(
        id=execution.id,
        type=execution.workflow_type,
        status=status,
        started_at=execution.start_time,
        ended_at=execution.close_time,
        task_queue=execution.task_queue,
    )


def _is_child(execution: WorkflowExecution) -> bool:
    """Whether a saga has a parent that takes over pending compensations."""
    is_independent = INDEPENDENT_MEMO in execution.raw_info.memo.fields
    return execution.parent_id is not None and not is_independent


def _has_failing_code(execution: WorkflowExecution) -> bool:
    problems = execution.typed_search_attributes.get(REPORTED_PROBLEMS, ())
    return any(each.startswith("category=WorkflowTask") for each in problems)


async def _status_in_memo(execution: WorkflowExecution) -> str:
    try:
        # Temporal types memos loosely.
        status: str = await execution.memo_value(SAGA_STATUS.name, "", type_hint=str)
    except Exception as error:
        raise SagaError(
            f"the memo of workflow {execution.id!r} cannot be decoded ({type(error).__name__}); "
            "connect with the data converter of the saga's workers"
        ) from error
    return status
