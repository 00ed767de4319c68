"""The operations of the order, inventory, shipping and notification services."""

from examples.payment.messages import Compensated
from examples.payment.operations import INVALID as INVALID_PAYMENT
from examples.payment.operations import tell_customer
from sagas import Operation

from .messages import (
    CreateShipment,
    Order,
    OrderRecord,
    Reservation,
    ReserveStock,
    Screening,
    ScreenOrder,
    Shipment,
)

__all__ = [
    "approve_order",
    "cancel_order",
    "create_order",
    "create_shipment",
    "release_stock",
    "reserve_stock",
    "screen_order",
    "tell_customer",
]

INVALID_LINES = frozenset({"invalid_message", "empty_order", "quantity_out_of_range", "repeated_article"})

create_order = Operation(
    name="create-order",
    participant="order",
    message=Order,
    result=OrderRecord,
    rejections=INVALID_LINES | INVALID_PAYMENT | {"duplicate_order"},
)
cancel_order = Operation(name="cancel-order", participant="order", message=Order, result=Compensated)
approve_order = Operation(
    name="approve-order",
    participant="order",
    message=Order,
    result=OrderRecord,
    rejections=frozenset({"order_not_open"}),
)
screen_order = Operation(
    name="screen-order",
    participant="order",
    message=ScreenOrder,
    result=Screening,
    rejections=frozenset({"invalid_message", "suspected_fraud"}),
)

reserve_stock = Operation(
    name="reserve-stock",
    participant="inventory",
    message=ReserveStock,
    result=Reservation,
    rejections=INVALID_LINES | {"out_of_stock", "unknown_article"},
)
release_stock = Operation(
    name="release-stock", participant="inventory", message=ReserveStock, result=Compensated
)

create_shipment = Operation(
    name="create-shipment",
    participant="shipping",
    message=CreateShipment,
    result=Shipment,
    rejections=INVALID_LINES | {"undeliverable_address"},
)
