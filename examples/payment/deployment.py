"""The deployment of the payment saga alone: two services, a worker, and a single type of saga."""

from examples.service_kit.service import Service
from examples.stack.deployment import Deployment, SagaType, ServiceCommand
from examples.stack.service_databases import Steps

from .event_types import place_payment, saga_of
from .faults import payment_fault
from .messages import Payment
from .operations import INVALID
from .saga import PaymentSaga
from .services import notification, payment

SERVICES = {
    "payment": Service(
        reactions=payment.REACTIONS,
        state=payment.state,
        balance=payment.balance,
        fault_rule=payment_fault,
        invalid_codes=INVALID,
    ),
    "notification": Service(reactions=notification.REACTIONS, state=notification.state),
}


def end_status(steps: Steps) -> str | None:
    """Returns the final status of a choreographed payment, from all steps; `None` before the end."""
    states = {action: step.state for action, step in steps.items()}
    if states.get("capture-payment") == "done":
        return "completed" if "send-receipt" in states else None
    is_held = states.get("authorize-payment") == "done"
    return "compensated" if "tell-customer" in states and not is_held else None


PAYMENT_SAGA = SagaType(
    message=Payment,
    id_prefix="payment-",
    saga_id=saga_of,
    workflow=PaymentSaga.run,
    summary=lambda payment: f"payment of {payment.amount} {payment.currency} (minor units)",
    start=lambda payment: ServiceCommand(service="payment", command=place_payment.name, message=payment),
    end_status=end_status,
)

DEPLOYMENT = Deployment(
    services=SERVICES,
    ports={"payment": 8103, "notification": 8105},
    service_module="examples.payment.services",
    worker_module="examples.payment.worker",
    saga_types=(PAYMENT_SAGA,),
)
