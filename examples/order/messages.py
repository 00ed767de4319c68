"""The messages of orders: the order, the messages of the operations, and their results."""

from typing import Annotated, Self

from pydantic import StringConstraints

from examples.payment.messages import (
    Customer,
    Id,
    Message,
    Notice,
    Payment,
    PaymentMethod,
    check_payment,
)
from sagas import RejectedError

Sku = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9-]{0,31}$")]
MAX_LINES = 50
MAX_QUANTITY = 1_000


class OrderLine(Message):
    """An article and its quantity."""

    sku: Sku
    quantity: int


class Address(Message):
    """The address of a parcel."""

    street: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    postal_code: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z -]{3,10}$")]
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class Order(Message):
    """An order: articles, address and payment."""

    order_id: Id
    customer: Customer
    lines: tuple[OrderLine, ...]
    amount: int
    currency: str
    method: PaymentMethod
    address: Address

    @property
    def payment(self) -> Payment:
        """The payment of this order."""
        return Payment(
            order_id=self.order_id,
            amount=self.amount,
            currency=self.currency,
            customer=self.customer,
            method=self.method,
        )


class CancellationRequest(Message):
    """The customer cancels an order."""

    order_id: Id


class OrderRecord(Message):
    """The order service has recorded the order."""

    order_id: Id
    status: str


class ReserveStock(Message):
    """Reserves articles for an order."""

    order_id: Id
    lines: tuple[OrderLine, ...]

    @classmethod
    def of(cls, order: Order) -> Self:
        """Makes the message for `order`."""
        return cls(order_id=order.order_id, lines=order.lines)


class Reservation(Message):
    """The articles are reserved."""

    reservation_id: str


class CreateShipment(Message):
    """Hands the articles of an order to the carrier."""

    order_id: Id
    lines: tuple[OrderLine, ...]
    address: Address

    @classmethod
    def of(cls, order: Order) -> Self:
        """Makes the message for `order`."""
        return cls(order_id=order.order_id, lines=order.lines, address=order.address)


class Shipment(Message):
    """The carrier has the parcel."""

    shipment_id: str
    tracking_code: str


class ScreenOrder(Message):
    """Screens an order for fraud."""

    order_id: Id
    customer: Customer
    amount: int
    currency: str

    @classmethod
    def of(cls, order: Order) -> Self:
        """Makes the message for `order`."""
        return cls(
            order_id=order.order_id, customer=order.customer, amount=order.amount, currency=order.currency
        )


class Screening(Message):
    """The fraud score of an accepted order."""

    score: int


def on_its_way(order: Order) -> Notice:
    """Makes the notice that the parcel is on its way."""
    return _notice(order, "Your order is on its way")


def cancelled(order: Order) -> Notice:
    """Makes the notice that the order was cancelled."""
    return _notice(order, "Your order was cancelled")


def check_order(order: Order) -> None:
    """Validates an order.

    Raises:
        RejectedError: The order breaks a rule; with the field and the rule.
    """
    check_lines(order.lines)
    check_payment(order.payment)


def check_lines(lines: tuple[OrderLine, ...]) -> None:
    """Validates the number of lines, their quantities, and that each article appears once.

    Raises:
        RejectedError: The lines break a rule; with the field and the rule.
    """
    if not 0 < len(lines) <= MAX_LINES:
        raise RejectedError("empty_order", f"an order has 1 to {MAX_LINES} lines, not {len(lines)}", "lines")
    for n, line in enumerate(lines):
        if not 0 < line.quantity <= MAX_QUANTITY:
            raise RejectedError(
                "quantity_out_of_range",
                f"quantity must be 1 to {MAX_QUANTITY}, not {line.quantity}",
                f"lines.{n}.quantity",
            )
    if len({line.sku for line in lines}) < len(lines):
        raise RejectedError("repeated_article", "each article appears in one line only", "lines")


def _notice(order: Order, subject: str) -> Notice:
    return Notice(order_id=order.order_id, customer=order.customer, subject=subject)
