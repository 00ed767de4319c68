"""The worker of the payment saga: `python -m examples.payment.worker --participant payment=URL …`."""

from typing import Any

from examples.payment import operations as payment
from examples.payment.saga import PaymentSaga
from examples.stack.worker_process import worker_program
from sagas import Operation

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    payment.authorize_payment,
    payment.void_authorization,
    payment.capture_payment,
    payment.refund_payment,
    payment.send_receipt,
    payment.tell_customer,
)
"""Every operation of the payment saga."""

app = worker_program([PaymentSaga], OPERATIONS)

if __name__ == "__main__":
    app()
