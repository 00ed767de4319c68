"""Activities without costs: every operation answers at once, inside the process of the worker.

Without a network, a database or business code, only Temporal and the saga are measured. This is the worst
case for an SDK: in production, the share of the SDK is smaller.
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
    """Creates an activity for each operation, with the name of the operation."""
    return [_activity(operation, answer) for operation, answer in ANSWERS]


def _activity(
    operation: Operation[Any, Any], answer: BaseModel
) -> Callable[[BaseModel], Awaitable[BaseModel]]:
    async def call(message: BaseModel) -> BaseModel:
        if isinstance(message, CreateShipment) and message.address.postal_code == UNDELIVERABLE:
            # A final refusal for the SDK and for plain Temporal.
            raise ApplicationError(
                "the carrier does not deliver there",
                type="undeliverable_address",
                non_retryable=True,
                category=ApplicationErrorCategory.BENIGN,
            )
        return answer

    # Temporal converts payloads according to the annotations.
    call.__annotations__ = {"message": operation.message, "return": operation.result}
    return activity.defn(name=operation.name)(call)
