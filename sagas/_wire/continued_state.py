"""The state of a saga that continues as new, for the next run."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from .._core.compensation import (
    CompensationOrder,
    CompensationScope,
    OnStuck,
    PendingConfirmation,
    PlanItem,
    SectionSpec,
    StepAfterCompensation,
)
from .._core.ledger import Ledger, LedgerEntry
from .._core.lifecycle import ManualResolution, Phase
from .._core.outcome import Outcome
from .._core.status import Status
from .operator_requests import AuditEntry
from .stored_model import StoredModel, without_defaults

CONTINUED_STATE_MEMO = "saga-continued-state"
"""The memo of a run that continues an earlier run of the same saga; the value is a `ContinuedState`."""
STATE = "saga-state"
"""The metadata key of the payload with the input of a saga that continues as new."""


class EntrySnapshot(BaseModel):
    """A line of the ledger."""

    model_config = ConfigDict(frozen=True)

    address: str
    outcome: Outcome
    compensations: tuple[PlanItem, ...] = ()
    is_child: bool = False
    is_best_effort: bool = False
    sections: tuple[SectionSpec, ...] = ()
    is_read_only: bool = False
    confirmations: tuple[PendingConfirmation, ...] = ()

    @model_serializer(mode="wrap")
    def _leave_out_default(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Writes the class of read-only steps only, and the confirmations of steps with a confirmation."""
        fields: dict[str, object] = serialize(self)
        return {
            name: value
            for name, value in fields.items()
            if name not in ("is_read_only", "confirmations") or value
        }


class LedgerSnapshot(BaseModel):
    """The ledger of a run at its end, and the phase of the run."""

    model_config = ConfigDict(frozen=True)

    scope: CompensationScope = CompensationScope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE
    phase: Phase = Phase.FORWARD
    entries: dict[str, EntrySnapshot] = Field(default_factory=dict[str, EntrySnapshot])
    compensated: frozenset[str] = frozenset()
    address_counts: dict[str, int] = Field(default_factory=dict[str, int])
    on_stuck: OnStuck = OnStuck.CONTINUE

    @model_serializer(mode="wrap")
    def _without_default(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_defaults(self, serialize(self), ["on_stuck"])

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
                    compensations=entry.compensations,
                    is_child=entry.is_child,
                    is_best_effort=entry.is_best_effort,
                    is_read_only=entry.is_read_only,
                    sections=entry.sections,
                    confirmations=entry.confirmations,
                )
                for address, entry in ledger.entries.items()
            },
            compensated=frozenset(ledger.compensated),
            address_counts=dict(ledger.address_counts),
            on_stuck=ledger.on_stuck,
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
                    compensations=each.compensations,
                    is_child=each.is_child,
                    is_best_effort=each.is_best_effort,
                    is_read_only=each.is_read_only,
                    sections=each.sections,
                    confirmations=each.confirmations,
                )
                for address, each in self.entries.items()
            },
            compensated=set(self.compensated),
            address_counts=dict(self.address_counts),
            on_stuck=self.on_stuck,
        )


class ContinuedState(StoredModel):
    """The state of a saga, apart from the input of the workflow; stored in the workflow's memo."""

    ledger: LedgerSnapshot
    started_at: datetime | None = None
    published_status: Status | None = None
    """The status in the search attribute or the memo `SagaStatus`."""
    after_compensation: tuple[StepAfterCompensation, ...] = ()
    manual_resolutions: dict[str, ManualResolution] = Field(default_factory=dict[str, ManualResolution])
    audit_trail: tuple[AuditEntry, ...] = ()
    unconsumed_events: dict[str, list[Any]] = Field(default_factory=dict[str, list[Any]])
    """The external events that arrived and were not awaited yet, by name."""
    expired_waits: dict[str, datetime] = Field(default_factory=dict[str, datetime])
    """The external events whose wait timed out, with the time of the timeout, by name."""
    deadline: datetime | None = None

    @property
    def is_past_pivot(self) -> bool:
        """Whether an earlier run passed the pivot."""
        return self.ledger.phase is Phase.PAST_PIVOT
