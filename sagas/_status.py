"""What a saga says of itself: its status, and the table of its steps in Temporal's Web UI."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey

from ._ledger import Entry, Ledger, Outcome, Phase, leaves
from ._metrics import Metrics
from ._verbs import AuditEntry

SAGA_STATUS = SearchAttributeKey.for_keyword("SagaStatus")
"""The search attribute by which sagas that left the happy path are found; register it as a Keyword.

Where it is not written, a memo of the same name says the same."""


class Status(StrEnum):
    """Where a saga stands; see the table in the README."""

    RUNNING = "running"
    HELD = "held"
    COMPENSATING = "compensating"
    STUCK = "stuck"
    COMPLETED = "completed"
    COMPENSATED = "compensated"
    SETTLED = "settled"


FAILING = "**keeps failing**"
ENDED = frozenset({Status.COMPLETED, Status.COMPENSATED, Status.SETTLED})

_MARKS = {
    Outcome.STARTED: "… under way",
    Outcome.DONE: "✓ done",
    Outcome.REJECTED: "✗ rejected",
    Outcome.UNKNOWN: "? unknown",
    Outcome.WITHDRAWN: "withdrawn",
}


def has_ended(said: str, *, is_child: bool) -> bool:
    """Whether a saga that says so has ended for good, whatever became of its workflow afterwards.

    A child that has completed owes until its root closes.
    """
    return said in ENDED and not (is_child and said == Status.COMPLETED)


class Board:
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
        self.metrics = Metrics(workflow.metric_meter())
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

    def _action(self, entry: Entry) -> str:
        is_failing = entry.address in self.failing and self._ledger.phase is not Phase.COMPENSATING
        return f"{_MARKS[entry.outcome]}, {FAILING}" if is_failing else _MARKS[entry.outcome]

    def _made_up(self, entry: Entry, owed: set[str]) -> str:
        if self._ledger.phase is not Phase.COMPENSATING:
            return ""
        addresses = [compensation.address for compensation in leaves(entry.owed)]
        if any(address in self.failing for address in (entry.address, *addresses)):
            return FAILING
        through = sum(address in self._ledger.made_up for address in addresses)
        if through and through == len(addresses):
            return "✓ compensated"
        if owed.isdisjoint(addresses):
            return ""
        return f"owed, {through} of {len(addresses)} done" if through else "owed"
