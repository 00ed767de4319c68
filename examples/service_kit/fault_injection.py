"""Which fault of the network or of the service a request meets, chosen by its data; see docs/test-data.md.

The business code knows nothing of this: the doors ask, the one for requests and the one for events.
"""

import asyncio
from collections import defaultdict
from datetime import timedelta
from enum import StrEnum, auto

from pydantic import BaseModel

from examples.order import operations as order
from examples.order.messages import CreateShipment
from examples.payment import operations as payment
from examples.payment.messages import Payment

SLOW = timedelta(milliseconds=300)
GATE_PATIENCE = timedelta(seconds=60)


class Fault(StrEnum):
    """What goes wrong with a request, or with its reply."""

    UNAVAILABLE_ONCE = auto()
    """The first request of a key gets 503 with Retry-After, before any effect."""
    SLOW = auto()
    """The request takes some hundred milliseconds."""
    GATED = auto()
    """The request waits, before its effect, until the gate of its order is opened."""
    REPLY_LOST = auto()
    """The effect is committed, and the reply that says so for the first time is lost."""
    REPLIES_LOST = auto()
    """The effect is committed, and every reply is lost."""


BY_TOKEN = {
    (payment.authorize_payment.name, "tok_authorize_unavailable_once"): Fault.UNAVAILABLE_ONCE,
    (payment.capture_payment.name, "tok_capture_reply_lost"): Fault.REPLY_LOST,
    (payment.capture_payment.name, "tok_capture_replies_lost"): Fault.REPLIES_LOST,
    (payment.capture_payment.name, "tok_capture_slow"): Fault.SLOW,
    (payment.capture_payment.name, "tok_capture_gated"): Fault.GATED,
}
BY_POSTAL_CODE = {
    (order.create_shipment.name, "00002"): Fault.REPLY_LOST,
    (order.create_shipment.name, "00003"): Fault.SLOW,
    (order.create_shipment.name, "00004"): Fault.GATED,
}


def fault_for(operation: str, message: BaseModel) -> Fault | None:
    """The fault that the data of a request asks for, if any."""
    match message:
        case Payment():
            return BY_TOKEN.get((operation, message.method.token))
        case CreateShipment():
            return BY_POSTAL_CODE.get((operation, message.address.postal_code))
        case _:
            return None


class UnavailableError(Exception):
    """A request or an event is not taken just now; there is no effect."""


class Hindrances:
    """What goes wrong with a request before its effect, whichever way it came."""

    def __init__(self, gates: "Gates", *, patience: timedelta = GATE_PATIENCE) -> None:
        self._gates, self._patience = gates, patience
        self._refused_once: set[str] = set()

    async def pass_by(self, operation: str, message: BaseModel, key: str) -> None:
        """Returns when nothing is in the way any more.

        Raises:
            UnavailableError: It is to be tried again later.
        """
        fault = fault_for(operation, message)
        if fault is Fault.SLOW:
            await asyncio.sleep(SLOW.total_seconds())
        if fault is Fault.GATED:
            order_id = str(getattr(message, "order_id", ""))
            if not await self._gates.passes(order_id, patience=self._patience):
                raise UnavailableError("nobody opened the gate in time")
        if fault is Fault.UNAVAILABLE_ONCE and key not in self._refused_once:
            self._refused_once.add(key)
            raise UnavailableError("try again later")


class Gates:
    """One gate per order, shut until it is opened, and open from then on; it may be opened beforehand."""

    def __init__(self) -> None:
        self._opened: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._arrived: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def open(self, order_id: str) -> None:
        """Lets through what waits for this order and what will come."""
        self._opened[order_id].set()

    async def passes(self, order_id: str, *, patience: timedelta = GATE_PATIENCE) -> bool:
        """Waits for the gate of an order; false if nobody opened it in time."""
        self._arrived[order_id].set()
        return await _is_set(self._opened[order_id], patience)

    async def sees_arrival(self, order_id: str, *, patience: timedelta = GATE_PATIENCE) -> bool:
        """Waits until a request has come to the gate of an order; false if none came in time."""
        return await _is_set(self._arrived[order_id], patience)


async def _is_set(event: asyncio.Event, patience: timedelta) -> bool:
    try:
        async with asyncio.timeout(patience.total_seconds()):
            await event.wait()
    except TimeoutError:
        return False
    return True
