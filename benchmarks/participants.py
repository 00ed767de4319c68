"""Participants that cost nothing: every operation answers at once, inside the worker's process.

Without a network, a database or business code, nothing but Temporal and the saga itself is left to measure.
That is the worst case for an SDK: in earnest, its share is smaller.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from examples.order import operations as order
from examples.order.messages import CreateShipment, OrderRecord, Reservation, Screening, Shipment
from examples.order.services.shipping import UNDELIVERABLE
from examples.payment import operations as payment
from examples.payment.messages import Authorization, Capture, Compensated, NoticeSent
from sagas import Operation

COMPENSATED = Compensated(found="effect")
ANSWERS: tuple[tuple[Operation[Any, Any], BaseModel], ...] = (
    (order.create_order, OrderRecord(order_id="tea-1", status="open")),
    (order.cancel_order, COMPENSATED),
    (order.approve_order, OrderRecord(order_id="tea-1", status="approved")),
    (order.screen_order, Screening(score=7)),
    (order.reserve_stock, Reservation(reservation_id="res_1")),
    (order.release_stock, COMPENSATED),
    (order.create_shipment, Shipment(shipment_id="ship_1", tracking_code="A1B2C3")),
    (payment.authorize_payment, Authorization(authorization_id="auth_1", amount=4_200, currency="EUR")),
    (payment.void_authorization, COMPENSATED),
    (payment.capture_payment, Capture(capture_id="cap_1", amount=4_200, currency="EUR")),
    (payment.refund_payment, COMPENSATED),
    (payment.send_receipt, NoticeSent(notice_id="note_1")),
    (payment.tell_customer, NoticeSent(notice_id="note_2")),
)


def activities() -> list[Callable[..., object]]:
    """An activity for each operation, under the operation's name."""
    return [_activity(operation, answer) for operation, answer in ANSWERS]


def _activity(
    operation: Operation[Any, Any], answer: BaseModel
) -> Callable[[BaseModel], Awaitable[BaseModel]]:
    async def call(message: BaseModel) -> BaseModel:
        if isinstance(message, CreateShipment) and message.address.postal_code == UNDELIVERABLE:
            # The SDK and plain Temporal both take this for a final refusal.
            raise ApplicationError(
                "the carrier does not deliver there",
                type="undeliverable_address",
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            )
        return answer

    # Temporal converts payloads by these.
    call.__annotations__ = {"message": operation.message, "return": operation.result}
    return activity.defn(name=operation.name)(call)
