"""A side of a comparison: a worker in a separate process, and the sagas to run on the worker."""

import itertools
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowFailureError, WorkflowHandle

from benchmarks.variants import VARIANTS
from examples.order.scenarios import an_order
from examples.order.services.shipping import UNDELIVERABLE
from workers import ChildProcess

ROOT = Path(__file__).resolve().parents[1]
CAN_MEASURE_CPU = sys.platform == "linux"
ORDER = an_order()("tea-1")
REFUSED_ORDER = an_order(postal_code=UNDELIVERABLE)("tea-1")


@dataclass(frozen=True, slots=True)
class ScheduledActivity:
    """An activity as scheduled by a workflow: both sides must schedule the same activities.

    The maximum number of attempts is left out: the SDK itself counts the attempts of a pivot.
    """

    activity: str
    message: bytes
    timeout: float
    backoff: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class HistorySummary:
    """The history of a saga and its child, in numbers."""

    events: int
    workflow_tasks: int
    size: int
    activities: tuple[ScheduledActivity, ...]


class WorkerUnderTest:
    """The worker of a variant, as a process.

    Args:
        name: The name in task queues, ids and logs.
        variant: The name of the variant.
        address: The address of the Temporal server.
        folder: The folder of the log.
        server: The process of the server, if the CPU time of the server is compared.
    """

    def __init__(
        self, name: str, variant: str, address: str, folder: Path, *, server: ChildProcess | None = None
    ) -> None:
        self.name = name
        self._variant = VARIANTS[variant]
        self._address = address
        self._worker = ChildProcess(
            [sys.executable, "-m", "benchmarks.worker", variant, address, name],
            name=f"the worker of {name}",
            log=folder / f"{name}.log",
            working_directory=ROOT,
        )
        self._measured = server or self._worker
        self._ids = (f"{name}-{number}" for number in itertools.count(1))

    async def __aenter__(self) -> Self:
        self._client = await self._variant.connect(self._address)
        self._worker.start()
        try:
            await self._worker.wait_ready(self._polls)
        except BaseException:
            await self._worker.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._worker.stop()

    @property
    def cpu_seconds(self) -> float:
        """The user and system time of the measured process so far; 0 on systems other than Linux."""
        # The clock id of clock_getcpuclockid(3): the time of all threads of a process, in nanoseconds.
        return time.clock_gettime((~self._measured.pid << 3) | 2) if CAN_MEASURE_CPU else 0.0

    async def run(self, *, refused: bool) -> str:
        """Runs a saga to the end, and returns the saga id.

        Raises:
            RuntimeError: The saga has completed instead of failed, or failed instead of completed.
        """
        saga_id = next(self._ids)
        order = REFUSED_ORDER if refused else ORDER
        handle = await self._variant.start(self._client, order, saga_id, self.name)
        if await _has_failed(handle) is not refused:
            raise RuntimeError(
                f"saga {saga_id!r} {'completed' if refused else 'failed'}; see {self._worker.log}"
            )
        return saga_id

    async def summarize(self, saga_id: str) -> HistorySummary:
        """Summarizes the history of a saga and its child."""
        events: list[HistoryEvent] = []
        for workflow_id in (saga_id, f"{saga_id}/payment"):
            history = await self._client.get_workflow_handle(workflow_id).fetch_history()
            events += history.events
        return HistorySummary(
            events=len(events),
            workflow_tasks=sum(e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED for e in events),
            size=sum(event.ByteSize() for event in events),
            activities=tuple(
                _scheduled_activity(e)
                for e in events
                if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
            ),
        )

    async def _polls(self) -> bool:
        return "worker polls" in self._worker.last_log_lines()


async def _has_failed(handle: WorkflowHandle[Any, Any]) -> bool:
    try:
        await handle.result()
    except WorkflowFailureError:
        return True
    return False


def _scheduled_activity(event: HistoryEvent) -> ScheduledActivity:
    scheduled = event.activity_task_scheduled_event_attributes
    retry = scheduled.retry_policy
    return ScheduledActivity(
        activity=scheduled.activity_type.name,
        message=scheduled.input.SerializeToString(deterministic=True),
        timeout=scheduled.start_to_close_timeout.ToTimedelta().total_seconds(),
        backoff=(
            retry.initial_interval.ToTimedelta().total_seconds(),
            retry.backoff_coefficient,
            retry.maximum_interval.ToTimedelta().total_seconds(),
        ),
    )
