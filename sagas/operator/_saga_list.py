"""Finds sagas in the server's list of workflows."""

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import count

from pydantic import BaseModel, ConfigDict
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from .._core.ids import quoted, rescue_id
from .._core.status import Status, has_ended
from .._errors import SagaError
from .._wire.rescue import RESCUE_TYPE
from .._wire.search_attribute import SAGA_STATUS

NEEDS = ("stuck", "held", "compensating")
"""The statuses of open sagas that left the happy path, the one that needs a person most first."""
CUT_OFF = {"terminated": "Terminated", "timed-out": "TimedOut", "failed": "Failed"}
"""How a saga can end without a status; then it may have to be rescued."""
AT_ONCE = 50
"""How many sagas are asked for in one query."""
STATUSES = frozenset({*Status, *CUT_OFF})
SAID = frozenset({*NEEDS, Status.COMPENSATED, Status.SETTLED})
"""The statuses that a workflow only has where it says so: in its search attribute, or else in its memo."""


class SagaSummary(BaseModel):
    """A saga in a list.

    Args:
        id: Its id.
        type: The type of its workflow.
        status: Its status; for one that was cut off, how: `terminated`, `timed-out`, `failed`.
        rescue: The status of its last rescue, for one that was cut off and rescued since.
        started_at: When it started.
        ended_at: When it ended, where it did.
        task_queue: Where its workers listen.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    type: str
    status: str
    rescue: str = ""
    started_at: datetime
    ended_at: datetime | None = None
    task_queue: str


async def search(
    client: Client, *, status: str | None, query: str | None, limit: int
) -> tuple[SagaSummary, ...]:
    """Finds sagas; see `SagaClient.list`.

    A status is found wherever it is, in a child too: it is the child that is stuck, not its parent. The
    server finds what stands in a search attribute; a memo it only shows, so workflows without the attribute
    are looked through, the latest first.
    """
    if status is not None and status not in STATUSES:
        raise ValueError(f"there is no status {status!r}; there are {', '.join(sorted(STATUSES))}")
    wanted = (status,) if status else (*NEEDS, Status.RUNNING.value)
    found: dict[str, list[SagaSummary]] = {each: [] for each in wanted}
    is_known = await _is_attribute_known(client)
    for each in wanted:
        if is_known or each not in SAID:
            attribute = _attribute(each) if is_known else ""
            asked = _all_of(query, _where(each), attribute)
            await _collect(client, asked, {each: found[each]}, limit, query)
    if looked_for := {each: found[each] for each in wanted if each in SAID}:
        attribute = f"{SAGA_STATUS.name} IS NULL" if is_known else ""
        asked = _all_of(query, _where(wanted[0]), attribute)
        await _collect(client, asked, looked_for, limit, query)
    sagas = [saga for each in wanted for saga in found[each]][:limit]
    return await _with_rescues(client, sagas) if status in CUT_OFF else tuple(sagas)


async def _is_attribute_known(client: Client) -> bool:
    """Whether the server knows the search attribute; one that does not takes a query with it for an error."""
    try:
        await client.count_workflows(f"{SAGA_STATUS.name} = '{Status.STUCK}'")
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        return False
    return True


async def _collect(
    client: Client, query: str, into: dict[str, list[SagaSummary]], limit: int, part: str | None
) -> None:
    """Adds what the server lists and is of a status in `into`, until there is enough of the first of them.

    Whoever has asked has written a part of the query, and reads where in all of it the mistake is.
    """
    first = next(iter(into.values()))
    if len(first) >= limit:
        return
    try:
        async for execution in _workflows(client, query):
            saga = await _summary(execution)
            if (sagas := into.get(saga.status)) is not None and len(sagas) < limit:
                sagas.append(saga)
            if len(first) >= limit:
                return
    except RPCError as error:
        if error.status is not RPCStatusCode.INVALID_ARGUMENT:
            raise
        whose = f", in {query!r}, of which {part!r} is yours" if part else ""
        raise ValueError(f"the query cannot be understood: {error.message}{whose}") from error


async def _workflows(client: Client, query: str) -> AsyncIterator[WorkflowExecution]:
    try:
        async for execution in client.list_workflows(query):
            yield execution
    except ValueError as error:
        raise SagaError(
            f"temporalio cannot read one of the workflows ({error}), such as one that is paused: leave it "
            "out with a query, ExecutionStatus != 'Paused'"
        ) from error


async def _with_rescues(client: Client, cut_off: list[SagaSummary]) -> tuple[SagaSummary, ...]:
    """Sagas that were cut off, with what has become of each; one that goes on is none of them any more."""
    last: dict[str, SagaSummary] = {}
    wanted, rescues = [saga.id for saga in cut_off], dict[str, str]()
    for number in count(1):
        next_ones = {rescue_id(saga_id, number): saga_id for saga_id in dict.fromkeys(wanted)}
        ids = [*next_ones, *(next_ones.values() if number == 1 else ())]
        for first in range(0, len(ids), AT_ONCE):
            some = ", ".join(map(quoted, ids[first : first + AT_ONCE]))
            async for execution in _workflows(client, f"WorkflowId IN ({some})"):
                run = await _summary(execution)
                if run.id not in last or last[run.id].started_at < run.started_at:
                    last[run.id] = run
        rescues |= {saga_id: each for each, saga_id in next_ones.items() if each in last}
        if not (wanted := [saga_id for each, saga_id in next_ones.items() if each in last]):
            break
    return tuple(
        saga.model_copy(update={"rescue": _status_since(saga, last.get(rescues.get(saga.id, "")))})
        for saga in cut_off
        if last.get(saga.id, saga).started_at <= saga.started_at
    )


def _status_since(saga: SagaSummary, rescue: SagaSummary | None) -> str:
    """The status of a rescue, unless the saga was begun anew since."""
    return rescue.status if rescue and rescue.started_at >= saga.started_at else ""


def _all_of(*conditions: str | None) -> str:
    return " AND ".join(f"({condition})" for condition in conditions if condition)


def _where(status: str) -> str:
    """Where a status can be found, in the language of Temporal's visibility; empty where that is anywhere."""
    if status in CUT_OFF:
        return f"ExecutionStatus = '{CUT_OFF[status]}'"
    match status:
        case Status.RUNNING:
            return "ExecutionStatus = 'Running' AND ParentWorkflowId IS NULL"
        case Status.COMPLETED:
            # A workflow may go on after its saga; it can be cut off there, and its saga has completed.
            return f"WorkflowType != '{RESCUE_TYPE}'"
        case _:
            return "ExecutionStatus = 'Running'" if status in NEEDS else ""


def _attribute(status: str) -> str:
    """What the search attribute of a workflow with a status can be."""
    name = SAGA_STATUS.name
    if status in CUT_OFF:
        return f"{name} IS NULL OR {name} NOT IN ('compensated', 'settled')"
    return f"{name} = '{status}'" if status in SAID else f"{name} IS NULL OR {name} = '{status}'"


async def _summary(execution: WorkflowExecution) -> SagaSummary:
    said = execution.typed_search_attributes.get(SAGA_STATUS) or await _memo(execution)
    match execution.status:
        case _ if has_ended(said, is_child=execution.parent_id is not None):
            status = said
        case WorkflowExecutionStatus.RUNNING:
            status = said or Status.RUNNING.value
        case WorkflowExecutionStatus.COMPLETED:
            status = said or Status.COMPLETED.value
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


async def _memo(execution: WorkflowExecution) -> str:
    try:
        # Temporal types memos loosely.
        said: str = await execution.memo_value(SAGA_STATUS.name, "", type_hint=str)
    except Exception as error:
        raise SagaError(
            f"the memo of {execution.id!r} cannot be read ({type(error).__name__}): "
            "connect with the data converter that it was written with"
        ) from error
    return said
