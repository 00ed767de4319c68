"""The injected faults of the payment service, by payment token; see docs/test-data.md."""

from pydantic import BaseModel

from examples.service_kit.fault_injection import Fault

from . import operations as ops
from .messages import Payment

BY_TOKEN = {
    (ops.authorize_payment.name, "tok_authorize_unavailable_once"): Fault.UNAVAILABLE_ONCE,
    (ops.capture_payment.name, "tok_capture_reply_lost"): Fault.REPLY_LOST,
    (ops.capture_payment.name, "tok_capture_replies_lost"): Fault.REPLIES_LOST,
    (ops.capture_payment.name, "tok_capture_slow"): Fault.SLOW,
    (ops.capture_payment.name, "tok_capture_gated"): Fault.GATED,
}


def payment_fault(operation: str, message: BaseModel) -> Fault | None:
    """Chooses the fault for a payment by its token."""
    if isinstance(message, Payment):
        return BY_TOKEN.get((operation, message.method.token))
    return None
