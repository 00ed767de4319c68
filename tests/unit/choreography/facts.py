"""Events as the services of the examples would tell them."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from choreography import Event, Fact, next_event
from examples.order.event_types import saga_of
from examples.order.messages import Order
from examples.order.scenarios import an_order

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def order(order_id: str = "1", *, card: str = "tok_visa", sku: str = "TEA-GREEN") -> Order:
    return an_order(card=card, sku=sku)(order_id)


def told(fact: Fact[Any], data: Order, *, cause: Event | None = None) -> Event:
    """The event with which a participant tells a fact of an order."""
    return event(fact.name, fact.by, data, saga_id=saga_of(data), cause=cause)


def event(name: str, source: str, data: BaseModel, *, saga_id: str, cause: Event | None = None) -> Event:
    content = data.model_dump(mode="json")
    return next_event(saga_id=saga_id, type=name, source=source, time=NOW, data=content, cause=cause)
