"""Wiring that must be refused by the type checker; an ignore that is not needed fails the check."""

import sqlite3

from choreography import Handles
from examples.order import operations as order
from examples.order.messages import Reservation, ReserveStock
from examples.order.services.inventory import release, reserve
from examples.payment import operations as payment
from examples.payment.services.payment import authorize, void


def returns_a_reservation(tx: sqlite3.Connection, command: ReserveStock, key: str) -> Reservation:
    raise NotImplementedError


Handles(order.reserve_stock, reserve).compensated_by(order.release_stock, release)

# Code for another message.
Handles(order.reserve_stock, authorize)  # type: ignore[arg-type]
# Code without a result.
Handles(order.reserve_stock, release)  # type: ignore[arg-type]
# The compensation of another action.
Handles(order.reserve_stock, reserve).compensated_by(payment.void_authorization, void)  # type: ignore[arg-type]
# The code of another compensation.
Handles(order.reserve_stock, reserve).compensated_by(order.release_stock, void)  # type: ignore[arg-type]
# A compensation that returns something: what it found is the fence's to say.
Handles(order.reserve_stock, reserve).compensated_by(
    order.release_stock,
    returns_a_reservation,  # type: ignore[arg-type]
)
# An action in the place of a compensation: its result has nothing to be found.
Handles(order.reserve_stock, reserve).compensated_by(order.reserve_stock, release)  # type: ignore[type-var]
