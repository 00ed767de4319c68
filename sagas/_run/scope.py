"""The state of one saga scope, as data shared by the parts of the scope."""

import asyncio
from dataclasses import dataclass, field

from temporalio import workflow

from .._core.compensation import SectionSpec
from .._core.ledger import Ledger
from .._core.lifecycle import Lifecycle
from .._wire.operator_requests import AuditEntry
from .cancellation_shield import CancellationShield
from .status_publisher import StatusPublisher

SectionPath = tuple[SectionSpec, ...]
"""The sections around a step, the outermost first."""


@dataclass(slots=True, kw_only=True)
class Scope:
    """The state of a running saga.

    Args:
        lifecycle: The phase, the stuck steps and the manual resolutions.
        ledger: The steps and the pending compensations.
        publisher: Writes the status into the history.
        shield: Protects the main task of the workflow.
        audit_trail: The executed verbs of operators.
    """

    lifecycle: Lifecycle
    ledger: Ledger
    publisher: StatusPublisher
    shield: CancellationShield
    audit_trail: list[AuditEntry] = field(default_factory=list[AuditEntry])
    under_way: dict[str, SectionPath] = field(default_factory=dict[str, SectionPath])
    """The forward steps, children, sections and compensations of units that are under way, each with the
    sections around."""
    lost_alternatives: list[asyncio.Task[None]] = field(default_factory=list["asyncio.Task[None]"])
    """The tasks of alternatives that lost, each of which ends with the compensation of the alternative."""
    awaited_approvals: dict[str, str] = field(default_factory=dict[str, str])
    """The awaited approvals, each with the role that may approve."""
    reports: list[str] = field(default_factory=list[str])
    """Reports for people about late external events and external events without a wait."""
    was_requested_first: bool = False
    """Whether a request to compensate came before any cancel of the workflow."""

    def is_busy(self) -> bool:
        """Whether a step is under way, apart from the steps of lost alternatives."""
        return any(not self.ledger.is_lost(sections) for sections in self.under_way.values())

    def publish(self, note: str = "") -> None:
        """Publishes the current status."""
        self.publisher.publish(self.lifecycle.status, note)

    def request_compensation(self, cause: Exception) -> None:
        """Requests compensation and interrupts the main task, unless the pivot is done."""
        if self.lifecycle.request_compensation(cause):
            self.was_requested_first = workflow.cancellation_reason() is None
            self.shield.interrupt()
