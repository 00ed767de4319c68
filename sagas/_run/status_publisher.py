"""Publication of a saga's status: search attribute or memo, and metrics."""

from datetime import datetime

from temporalio import workflow

from .._core.status import ENDED, Status
from .._temporal.metrics import SagaMetrics
from .._wire.search_attribute import SAGA_STATUS


class StatusPublisher:
    """Writes the status of one saga into the saga's history, where operators can find the saga.

    The happy path writes no status: the status is written when the saga is held, compensates or gets stuck,
    and when the workflow goes on after the end of the saga.

    Args:
        search_attributes: Whether to write the search attribute `SagaStatus`; otherwise a memo of the same
            name.
        started_at: The start of the saga's first run; by default the start of this run.
        published: The status in the history.
    """

    def __init__(
        self,
        *,
        search_attributes: bool,
        started_at: datetime | None = None,
        published: Status | None = None,
    ) -> None:
        self.note = ""
        """The reason of the status, for people."""
        self.published = published
        self.metrics = SagaMetrics(workflow.metric_meter())
        self.started_at = started_at or workflow.info().workflow_start_time
        self._search_attributes = search_attributes
        self._status = Status.RUNNING
        self._stuck_since = self.started_at

    def publish(self, status: Status, note: str = "") -> None:
        """Counts a change of the status, and writes the status unless the saga is on the happy path."""
        self._measure(status)
        self._status, self.note = status, note
        is_on_happy_path = self.published is None and status in (Status.RUNNING, Status.COMPLETED)
        if not is_on_happy_path:
            self.write()

    def write(self) -> None:
        """Writes the last status into the history, unless the history has the status."""
        if self._status is self.published:
            return
        if self._search_attributes:
            # Temporal types attributes of all kinds in one list.
            workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
                [SAGA_STATUS.value_set(self._status.value)]
            )
        else:
            workflow.upsert_memo({SAGA_STATUS.name: self._status.value})
        self.published = self._status

    def _measure(self, status: Status) -> None:
        now, was_stuck, is_stuck = workflow.now(), self._status is Status.STUCK, status is Status.STUCK
        if is_stuck and not was_stuck:
            self._stuck_since = now
            self.metrics.stuck_entered()
        if was_stuck and not is_stuck:
            self.metrics.stuck_left(now - self._stuck_since)
        if status in ENDED:
            self.metrics.ended(status.value, now - self.started_at)
