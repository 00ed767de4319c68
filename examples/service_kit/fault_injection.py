"""Injected faults of the network and of a service, chosen by the data of a request; see docs/test-data.md.

The HTTP API and the event handling inject the faults; the business code has no part in fault injection.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum, auto

from pydantic import BaseModel

from .gates import HTTP_GATE_TIMEOUT, Gates

SLOW = timedelta(milliseconds=300)


class Fault(StrEnum):
    """A fault of a request or of a reply."""

    UNAVAILABLE_ONCE = auto()
    """The first request of a key gets 503 with Retry-After, before any effect."""
    SLOW = auto()
    """The request takes some hundred milliseconds."""
    GATED = auto()
    """The request waits, before the effect, until the gate of the order is opened."""
    REPLY_LOST = auto()
    """The effect is committed, and the first reply is lost."""
    REPLIES_LOST = auto()
    """The effect is committed, and every reply is lost."""


FaultRule = Callable[[str, BaseModel], Fault | None]
"""Chooses the fault for the name of an operation and a message."""


def no_fault(operation: str, message: BaseModel) -> Fault | None:
    """The rule without faults."""
    del operation, message
    return None


class UnavailableError(Exception):
    """The service refuses a request or an event for now, without effect."""


class FaultsBeforeEffect:
    """Injects the faults before the effect of a request, over HTTP and as an event.

    Args:
        rule: Chooses the fault.
        gates: The gates of the service.
        gate_timeout: How long a gated request waits.
    """

    def __init__(self, rule: FaultRule, gates: Gates, *, gate_timeout: timedelta = HTTP_GATE_TIMEOUT) -> None:
        self._rule, self._gates, self._gate_timeout = rule, gates, gate_timeout
        self._refused_keys: set[str] = set()

    async def inject(self, operation: str, message: BaseModel, key: str) -> None:
        """Delays or refuses the request, as chosen by the rule.

        Raises:
            UnavailableError: The request is to be tried again later.
        """
        fault = self._rule(operation, message)
        if fault is Fault.SLOW:
            await asyncio.sleep(SLOW.total_seconds())
        if fault is Fault.GATED:
            order_id = str(getattr(message, "order_id", ""))
            if not await self._gates.wait_until_open(order_id, gate_timeout=self._gate_timeout):
                raise UnavailableError("the gate was not opened in time")
        if fault is Fault.UNAVAILABLE_ONCE and key not in self._refused_keys:
            self._refused_keys.add(key)
            raise UnavailableError("try again later")
