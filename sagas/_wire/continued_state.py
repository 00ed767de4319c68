"""The state of a saga that continues as new, for the next run."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from .._core.compensation import CompensationOrder, CompensationScope, PendingCompensation, PlanItem
from .._core.ledger import Ledger, LedgerEntry
from .._core.lifecycle import ManualResolution, Phase
from .._core.outcome import Outcome
from .._core.status import Status
from .operator_requests import AuditEntry

CARRIED_MEMO = "saga-carried"
"""The memo of a run that continues an earlier run of the same saga; the value is a `ContinuedState`."""
STATE = "saga-state"
"""The metadata key of the payload with the input of a saga that continues as new."""


class EntrySnapshot(BaseModel):
    """A line of the ledger."""

    model_config = ConfigDict(frozen=True)

    address: str
    outcome: Outcome
    owed: tuple[PlanItem, ...] = ()
    is_child: bool = False
    is_best_effort: bool = False


class LedgerSnapshot(BaseModel):
    """The ledger of a run at its end, and the phase of the run."""

    model_config = ConfigDict(frozen=True, serialize_by_alias=True, validate_by_name=True)

    scope: CompensationScope = CompensationScope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE
    phase: Phase = Phase.FORWARD
    entries: dict[str, EntrySnapshot] = {}
    made_up: frozenset[str] = frozenset()
    address_counts: dict[str, int] = Field(default={}, alias="_count")

    @classmethod
    def of(cls, ledger: Ledger, phase: Phase) -> Self:
        """The snapshot of a ledger in a phase of its scope."""
        return cls(
            scope=ledger.scope,
            order=ledger.order,
            phase=phase,
            entries={
                address: EntrySnapshot(
                    address=address,
                    outcome=entry.outcome,
                    owed=entry.compensations,
                    is_child=entry.is_child,
                    is_best_effort=entry.is_best_effort,
                )
                for address, entry in ledger.entries.items()
            },
            made_up=frozenset(ledger.compensated),
            address_counts=dict(ledger.address_counts),  # pyright: ignore[reportCallIssue]
        )

    def restore(self) -> Ledger:
        """Returns a new ledger with the content of the snapshot."""
        return Ledger(
            scope=self.scope,
            order=self.order,
            entries={
                address: LedgerEntry(
                    address=each.address,
                    outcome=each.outcome,
                    compensations=each.owed,
                    is_child=each.is_child,
                    is_best_effort=each.is_best_effort,
                )
                for address, each in self.entries.items()
            },
            compensated=set(self.made_up),
            address_counts=dict(self.address_counts),
        )


class ContinuedState(BaseModel):
    """The state of a saga, apart from the input of the workflow; stored in the workflow's memo."""

    model_config = ConfigDict(frozen=True)

    ledger: LedgerSnapshot
    began_at: datetime | None = None
    shown: Status | None = None
    """The status in the search attribute or the memo `SagaStatus`."""
    afterwards: tuple[PendingCompensation, ...] = ()
    by_hand: dict[str, ManualResolution] = {}
    audit: tuple[AuditEntry, ...] = ()
    unread: dict[str, list[Any]] = {}
    """The external events that arrived and were not awaited yet, by name."""
    given_up: dict[str, datetime] = {}
    """The external events whose wait timed out, with the time of the timeout, by name."""
    expires_at: datetime | None = None

    @property
    def is_past_pivot(self) -> bool:
        """Whether an earlier run passed the pivot."""
        return self.ledger.phase is Phase.PAST_PIVOT
