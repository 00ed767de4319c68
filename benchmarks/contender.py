"""One side of a comparison: a worker in a process of its own, and sagas that are run on it one by one."""

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
from examples.compare.scenarios import an_order
from examples.order.shipping import UNDELIVERABLE
from workers import ChildProcess

ROOT = Path(__file__).resolve().parents[1]
CAN_MEASURE_CPU = sys.platform == "linux"
ORDER = an_order()("tea-1")
REFUSED_ORDER = an_order(postal_code=UNDELIVERABLE)("tea-1")


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of an activity, as a workflow asked for it: both sides must ask for the same.

    How often it is tried is left out: the SDK counts the attempts of a pivot itself.
    """

    activity: str
    message: bytes
    timeout: float
    pauses: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Trace:
    """What one saga left in history, in the workflow and its child."""

    events: int
    workflow_tasks: int
    size: int
    asked: tuple[Asked, ...]


class Contender:
    """A worker of a variant, and the sagas that run on it.

    Args:
        name: Its name in task queues, ids and logs.
        variant: Which of the variants it is.
        address: The Temporal server.
        folder: Where its log goes.
        server: The server's process, where it is the server that is compared.
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
    def cpu(self) -> float:
        """Seconds of CPU, user and system, of the measured process so far; 0 where they cannot be told."""
        # As clock_getcpuclockid(3) makes it: the clock of all threads of a process, to the nanosecond.
        return time.clock_gettime((~self._measured.pid << 3) | 2) if CAN_MEASURE_CPU else 0.0

    async def run(self, *, refused: bool) -> str:
        """Runs one saga to its end, and returns its id.

        Raises:
            RuntimeError: It ended in another way than it should.
        """
        saga_id = next(self._ids)
        order = REFUSED_ORDER if refused else ORDER
        handle = await self._variant.start(self._client, order, saga_id, self.name)
        if await _has_failed(handle) is not refused:
            raise RuntimeError(
                f"saga {saga_id!r} {'completed' if refused else 'failed'}; see {self._worker.log}"
            )
        return saga_id

    async def trace(self, saga_id: str) -> Trace:
        """Reads what a saga left in history."""
        events: list[HistoryEvent] = []
        for workflow_id in (saga_id, f"{saga_id}/payment"):
            history = await self._client.get_workflow_handle(workflow_id).fetch_history()
            events += history.events
        return Trace(
            events=len(events),
            workflow_tasks=sum(e.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED for e in events),
            size=sum(event.ByteSize() for event in events),
            asked=tuple(
                _asked(e) for e in events if e.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
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


def _asked(event: HistoryEvent) -> Asked:
    call = event.activity_task_scheduled_event_attributes
    retry = call.retry_policy
    return Asked(
        activity=call.activity_type.name,
        message=call.input.SerializeToString(deterministic=True),
        timeout=call.start_to_close_timeout.ToTimedelta().total_seconds(),
        pauses=(
            retry.initial_interval.ToTimedelta().total_seconds(),
            retry.backoff_coefficient,
            retry.maximum_interval.ToTimedelta().total_seconds(),
        ),
    )
