"""Reactions rejected by the type checker; an unneeded ignore fails the check."""

from choreography import on
from examples.order import operations as order
from examples.order.event_types import order_placed, payment_captured, place_order, stock_reserved
from examples.order.messages import CreateShipment, Order, Reservation, ReserveStock
from examples.payment import operations as payment
from examples.payment.event_types import amount_held, payment_placed
from examples.payment.messages import Payment


def payment_of(order: Order) -> Payment:
    raise NotImplementedError


def after_reservation(order: Order, reservation: Reservation) -> Order:
    raise NotImplementedError


on(order_placed).do(order.reserve_stock, ReserveStock.of).on_done(stock_reserved)
on(order_placed).do(order.reserve_stock, ReserveStock.of).on_done(stock_reserved, after_reservation)
on(order_placed).do(payment.authorize_payment, payment_of, child_saga="payment")
on(place_order).do(order.create_order).on_done(order_placed)
on(order_placed, payment_captured).compensate(order.reserve_stock, ReserveStock.of)

# The message of another operation.
on(order_placed).do(order.reserve_stock, CreateShipment.of)  # type: ignore[arg-type]
# A message from other data.
on(payment_placed).do(order.reserve_stock, ReserveStock.of)  # type: ignore[arg-type]
# No mapping although the data is not the message.
on(order_placed).do(order.reserve_stock)  # type: ignore[arg-type]
# An event type with other data.
on(order_placed).do(order.reserve_stock, ReserveStock.of).on_done(amount_held)  # type: ignore[arg-type]
on(order_placed).do(order.reserve_stock, ReserveStock.of).on_rejected(amount_held)  # type: ignore[arg-type]
# Event data from the result of another operation.
on(place_order).do(order.create_order).on_done(order_placed, after_reservation)  # type: ignore[arg-type]
# A compensation with another message.
on(order_placed).compensate(payment.authorize_payment, ReserveStock.of)  # type: ignore[arg-type]
# A voiding with another message.
on(order_placed).void(order.create_shipment, ReserveStock.of)  # type: ignore[arg-type]
# Event types with different data.
on(order_placed, payment_placed)  # type: ignore[misc]
