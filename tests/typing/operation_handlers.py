"""Handlers rejected by the type checker; an unneeded ignore fails the check."""

import sqlite3

from choreography import OperationHandler
from examples.order import operations as order
from examples.order.messages import Reservation, ReserveStock
from examples.order.services.inventory import release, reserve
from examples.payment import operations as payment
from examples.payment.services.payment import authorize, void


def returns_a_reservation(tx: sqlite3.Connection, command: ReserveStock, key: str) -> Reservation:
    raise NotImplementedError


OperationHandler(order.reserve_stock, reserve).compensated_by(order.release_stock, release)

# Code for another message.
OperationHandler(order.reserve_stock, authorize)  # type: ignore[arg-type]
# Code without a result.
OperationHandler(order.reserve_stock, release)  # type: ignore[arg-type]
# The compensation of another action.
OperationHandler(order.reserve_stock, reserve).compensated_by(payment.void_authorization, void)  # type: ignore[arg-type]
# The code of another compensation.
OperationHandler(order.reserve_stock, reserve).compensated_by(order.release_stock, void)  # type: ignore[arg-type]
# A compensation with a result: the fence makes the result of a compensation.
OperationHandler(order.reserve_stock, reserve).compensated_by(
    order.release_stock,
    returns_a_reservation,  # type: ignore[arg-type]
)
# An action in the place of a compensation: the result model has no field `found`.
OperationHandler(order.reserve_stock, reserve).compensated_by(order.reserve_stock, release)  # type: ignore[type-var]
