"""The worker of the order saga: `python -m examples.order.worker --participant payment=URL …`."""

from typing import Any

from examples.order import operations as order
from examples.order.saga import OrderSaga
from examples.payment import operations as payment
from examples.payment.saga import PaymentSaga
from examples.stack.worker_process import worker_program
from sagas import Operation

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    order.create_order,
    order.cancel_order,
    order.approve_order,
    order.screen_order,
    order.reserve_stock,
    order.release_stock,
    order.create_shipment,
    payment.authorize_payment,
    payment.void_authorization,
    payment.capture_payment,
    payment.refund_payment,
    payment.send_receipt,
    payment.tell_customer,
)
"""Every operation of the order saga and of its child, the payment saga."""

app = worker_program([OrderSaga, PaymentSaga], OPERATIONS)

if __name__ == "__main__":
    app()
