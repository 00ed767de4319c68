"""The state of one saga scope, as data shared by the parts of the scope."""

from dataclasses import dataclass, field

from temporalio import workflow

from .._core.ledger import Ledger
from .._core.lifecycle import Lifecycle
from .._wire.operator_requests import AuditEntry
from .cancellation_shield import CancellationShield
from .status_publisher import StatusPublisher


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
    under_way: set[str] = field(default_factory=set[str])
    """The addresses of forward steps and children that are under way."""
    awaited_approvals: dict[str, str] = field(default_factory=dict[str, str])
    """The awaited approvals, each with the role that may approve."""
    reports: list[str] = field(default_factory=list[str])
    """Reports for people about late external events and external events without a wait."""
    was_requested_first: bool = False
    """Whether a request to compensate came before any cancel of the workflow."""

    def publish(self, note: str = "") -> None:
        """Publishes the current status."""
        self.publisher.publish(self.lifecycle.status, note)

    def request_compensation(self, cause: Exception) -> None:
        """Requests compensation and interrupts the main task, unless the pivot is done."""
        if self.lifecycle.request_compensation(cause):
            self.was_requested_first = workflow.cancellation_reason() is None
            self.shield.interrupt()
