"""Events of the example services."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from choreography import Event, EventType
from choreography._declarations.event import create_event
from examples.order.event_types import saga_of
from examples.order.messages import Order
from examples.order.scenarios import an_order

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def order(order_id: str = "1", *, card: str = "tok_visa", sku: str = "TEA-GREEN") -> Order:
    return an_order(card=card, sku=sku)(order_id)


def order_event(event_type: EventType[Any], data: Order, *, cause: Event | None = None) -> Event:
    """An event of a type, about an order."""
    return sample_event(event_type, data, saga_id=saga_of(data), cause=cause)


def sample_event(
    event_type: EventType[Any], data: BaseModel, *, saga_id: str, cause: Event | None = None
) -> Event:
    """An event of a type, with any data."""
    return create_event(event_type, data, saga_id=saga_id, time=NOW, cause=cause)
