"""What a saga says of itself: its status, and the table of its steps in Temporal's Web UI."""

from datetime import datetime
from typing import Any

from temporalio import workflow

from .._core.compensation import flatten
from .._core.ledger import Ledger, LedgerEntry
from .._core.lifecycle import Phase
from .._core.outcome import Outcome
from .._core.status import ENDED, Status
from .._temporal.metrics import SagaMetrics
from .._wire.operator_requests import AuditEntry
from .._wire.search_attribute import SAGA_STATUS

FAILING = "**keeps failing**"

_MARKS = {
    Outcome.STARTED: "… under way",
    Outcome.DONE: "✓ done",
    Outcome.REJECTED: "✗ rejected",
    Outcome.UNKNOWN: "? unknown",
    Outcome.WITHDRAWN: "withdrawn",
}


class StatusPublisher:
    """Keeps status and details of one saga up to date where operators look.

    The happy path writes nothing into history: the details are made when somebody asks for them, and the
    search attribute, or else the memo, is written only when the saga is held, turns round or gets stuck, and
    when its workflow goes on after its end.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        search_attributes: bool,
        began_at: datetime | None = None,
        shown: Status | None = None,
    ) -> None:
        self.status = Status.RUNNING
        self.note = ""
        self.is_held = False
        self.audit = list[AuditEntry]()
        self.failing: dict[str, Any] = {}
        """What keeps failing, by its address."""
        self._ledger = ledger
        self._search_attributes = search_attributes
        self.shown = shown
        self.metrics = SagaMetrics(workflow.metric_meter())
        self.began_at = began_at or workflow.info().workflow_start_time
        self._stuck_at = self.began_at

    def show(self, status: Status, note: str = "") -> None:
        """Makes a status visible."""
        self._measure(status)
        self.status, self.note = status, note
        is_on_happy_path = self.shown is None and self.status in (Status.RUNNING, Status.COMPLETED)
        if not is_on_happy_path:
            self.write()

    def write(self) -> None:
        """Writes the status into history, where it does not stand there yet."""
        if self.status is self.shown:
            return
        if self._search_attributes:
            # Temporal types attributes of all kinds in one list.
            workflow.upsert_search_attributes(  # pyright: ignore[reportUnknownMemberType]
                [SAGA_STATUS.value_set(self.status.value)]
            )
        else:
            workflow.upsert_memo({SAGA_STATUS.name: self.status.value})
        self.shown = self.status

    def _measure(self, status: Status) -> None:
        now, was_stuck, is_stuck = workflow.now(), self.status is Status.STUCK, status is Status.STUCK
        if is_stuck and not was_stuck:
            self._stuck_at = now
            self.metrics.stuck_entered()
        if was_stuck and not is_stuck:
            self.metrics.stuck_left(now - self._stuck_at)
        if status in ENDED:
            self.metrics.ended(status.value, now - self.began_at)

    def details(self) -> str:
        """The state of the ledger in Markdown, for people."""
        owed = {compensation.address for compensation in self._ledger.owed()}
        rows = [
            f"| {entry.address} | {self._action(entry)} | {self._made_up(entry, owed)} |"
            for entry in self._ledger.entries.values()
        ]
        note = f": {self.note}" if self.note else ""
        audit = [
            f"- {datetime.fromisoformat(e.at):%Y-%m-%d %H:%M:%S} {e.words} by {e.by}: {e.because}"
            for e in self.audit
        ]
        return "\n".join(
            [
                f"**{self.status}**{note}",
                "",
                "| step | action | compensation |",
                "|---|---|---|",
                *rows,
                "",
                *audit,
            ]
        ).rstrip()

    def _action(self, entry: LedgerEntry) -> str:
        is_failing = entry.address in self.failing and self._ledger.phase is not Phase.COMPENSATING
        return f"{_MARKS[entry.outcome]}, {FAILING}" if is_failing else _MARKS[entry.outcome]

    def _made_up(self, entry: LedgerEntry, owed: set[str]) -> str:
        if self._ledger.phase is not Phase.COMPENSATING:
            return ""
        addresses = [compensation.address for compensation in flatten(entry.owed)]
        if any(address in self.failing for address in (entry.address, *addresses)):
            return FAILING
        through = sum(address in self._ledger.made_up for address in addresses)
        if through and through == len(addresses):
            return "✓ compensated"
        if owed.isdisjoint(addresses):
            return ""
        return f"owed, {through} of {len(addresses)} done" if through else "owed"
