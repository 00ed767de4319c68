"""The injected faults of the HTTP API, as met by a participant during event handling."""

from datetime import timedelta

from choreography import OperationRequest

from .fault_injection import Fault, FaultRule, FaultsBeforeEffect
from .gates import Gates

EVENT_GATE_TIMEOUT = timedelta(seconds=45)
"""Shorter than the handler timeout of a bus, a minute; the event is redelivered then, and waits again."""


class AcknowledgementLostError(Exception):
    """An event is handled and committed, and not acknowledged: the broker delivers the event again."""


class EventFaults:
    """A `choreography.FaultInjector` with injected faults, chosen by the data of the event.

    Args:
        rule: Chooses the fault; see docs/test-data.md.
        gates: The gates of the service; the HTTP API opens the gates.
    """

    def __init__(self, rule: FaultRule, gates: Gates) -> None:
        self._rule = rule
        self._before_effect = FaultsBeforeEffect(rule, gates, gate_timeout=EVENT_GATE_TIMEOUT)

    async def before_operation(self, request: OperationRequest) -> None:
        """Waits, or refuses the first delivery, before the transaction and outside of it."""
        await self._before_effect.inject(request.operation, request.message, request.key)

    def is_outcome_known(self, request: OperationRequest) -> bool:
        """False where every reply is lost: the effect is committed, and the outcome is unknown."""
        return self._fault(request) is not Fault.REPLIES_LOST

    async def after_commit(self, request: OperationRequest) -> None:
        """Loses the first acknowledgement where the data asks for it."""
        if self._fault(request) is Fault.REPLY_LOST:
            raise AcknowledgementLostError(request.key)

    def _fault(self, request: OperationRequest) -> Fault | None:
        return self._rule(request.operation, request.message)
