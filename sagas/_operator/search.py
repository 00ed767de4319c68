"""Finds sagas in the server's list of workflows."""

from datetime import datetime
from itertools import count

from pydantic import BaseModel, ConfigDict
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus

from .._keys import quoted, rescue_id
from .._scope.rescue import RESCUE_TYPE
from .._status import SAGA_STATUS, Status

NEEDS = ("stuck", "held", "compensating")
"""The statuses of open sagas that left the happy path, the one that needs a person most first."""
CUT_OFF = {"terminated": "Terminated", "timed-out": "TimedOut", "failed": "Failed"}
"""How a saga can end without a status; then it may have to be rescued."""
AT_ONCE = 50
"""How many sagas are asked for in one query."""
STATUSES = frozenset({*Status, *NEEDS, *CUT_OFF, "settled"})


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

    A status is found wherever it is, in a child too: it is the child that is stuck, not its parent.
    """
    if status is not None and status not in STATUSES:
        raise ValueError(f"there is no status {status!r}; there are {', '.join(sorted(STATUSES))}")
    found: list[SagaSummary] = []
    for condition in [_condition(status)] if status else [*map(_condition, NEEDS), _condition("running")]:
        whole = f"({query}) AND {condition}" if query else condition
        async for execution in client.list_workflows(whole, limit=limit - len(found)):
            found.append(_summary(execution))
        if len(found) >= limit:
            break
    return await _with_rescues(client, found) if status in CUT_OFF else tuple(found)


async def _with_rescues(client: Client, cut_off: list[SagaSummary]) -> tuple[SagaSummary, ...]:
    """Sagas that were cut off, with what has become of each; one that goes on is none of them any more."""
    last: dict[str, SagaSummary] = {}
    wanted, rescues = [saga.id for saga in cut_off], dict[str, str]()
    for number in count(1):
        next_ones = {rescue_id(saga_id, number): saga_id for saga_id in dict.fromkeys(wanted)}
        ids = [*next_ones, *(next_ones.values() if number == 1 else ())]
        for first in range(0, len(ids), AT_ONCE):
            some = ", ".join(map(quoted, ids[first : first + AT_ONCE]))
            async for execution in client.list_workflows(f"WorkflowId IN ({some})"):
                run = _summary(execution)
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


def _condition(status: str) -> str:
    """The query for a status, in the language of Temporal's visibility."""
    name = SAGA_STATUS.name
    if status in CUT_OFF:
        unsaid = f"({name} IS NULL OR {name} NOT IN ('compensated', 'settled'))"
        return f"ExecutionStatus = '{CUT_OFF[status]}' AND {unsaid}"
    is_open = "ExecutionStatus = 'Running'"
    match status:
        case Status.RUNNING:
            happy = f"({name} IS NULL OR {name} = 'running')"
            return f"{is_open} AND {happy} AND ParentWorkflowId IS NULL"
        case Status.COMPLETED:
            ended = f"ExecutionStatus = 'Completed' AND ({name} IS NULL OR {name} = 'completed')"
            return f"{ended} AND WorkflowType != '{RESCUE_TYPE}'"
        case "stuck" | "held" | "compensating":
            return f"{is_open} AND {name} = '{status}'"
        case _:
            return f"{name} = '{status}'"


def _summary(execution: WorkflowExecution) -> SagaSummary:
    said = execution.typed_search_attributes.get(SAGA_STATUS)
    match execution.status:
        case WorkflowExecutionStatus.RUNNING:
            status = said or Status.RUNNING.value
        case WorkflowExecutionStatus.TERMINATED:
            status = "terminated"
        case WorkflowExecutionStatus.TIMED_OUT:
            status = "timed-out"
        case WorkflowExecutionStatus.COMPLETED:
            status = said or Status.COMPLETED.value
        case _:
            status = said or "failed"
    return SagaSummary(
        id=execution.id,
        type=execution.workflow_type,
        status=status,
        started_at=execution.start_time,
        ended_at=execution.close_time,
        task_queue=execution.task_queue,
    )
