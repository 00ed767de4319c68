"""The operations of the payment and notification services."""

from sagas import Operation

from .messages import Authorization, Capture, Compensated, Notice, NoticeSent, Payment

INVALID = frozenset({"invalid_message", "amount_out_of_range", "unsupported_currency", "unknown_method"})

authorize_payment = Operation(
    name="authorize-payment",
    participant="payment",
    message=Payment,
    result=Authorization,
    rejections=INVALID | {"card_declined"},
)
void_authorization = Operation(
    name="void-authorization", participant="payment", message=Payment, result=Compensated
)
capture_payment = Operation(
    name="capture-payment",
    participant="payment",
    message=Payment,
    result=Capture,
    rejections=INVALID | {"capture_refused", "not_authorized"},
)
refund_payment = Operation(name="refund-payment", participant="payment", message=Payment, result=Compensated)

send_receipt = Operation(name="send-receipt", participant="notification", message=Notice, result=NoticeSent)
tell_customer = Operation(name="tell-customer", participant="notification", message=Notice, result=NoticeSent)
