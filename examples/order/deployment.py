"""The deployment of the order saga: all five services, a worker, and the order and payment sagas."""

from dataclasses import replace

from choreography import build_topology
from examples.payment import deployment as payment_deployment
from examples.payment.operations import INVALID as INVALID_PAYMENT
from examples.payment.services import notification, payment
from examples.service_kit.service import Service
from examples.stack.deployment import Deployment, SagaType, ServiceCommand
from examples.stack.service_databases import Steps

from .event_types import place_order, request_cancellation, saga_of
from .faults import shipment_fault
from .messages import CancellationRequest, Order
from .operations import INVALID_LINES
from .saga import OrderSaga
from .services import inventory, notification_reactions, orders, payment_reactions, shipping

REACTIONS = {
    "order": orders.REACTIONS,
    "inventory": inventory.REACTIONS,
    "payment": payment.REACTIONS + payment_reactions.REACTIONS,
    "shipping": shipping.REACTIONS,
    "notification": notification.REACTIONS + notification_reactions.REACTIONS,
}
"""The reactions of each service; each process runs the reactions of a single service."""

TOPOLOGY = build_topology(*REACTIONS.values())
"""The queues of all services; the broker must have them before the first event."""

SERVICES = {
    "order": Service(
        reactions=REACTIONS["order"],
        state=orders.state,
        invalid_codes=INVALID_LINES | INVALID_PAYMENT,
    ),
    "inventory": Service(
        reactions=REACTIONS["inventory"],
        state=inventory.state,
        balance=inventory.balance,
        invalid_codes=INVALID_LINES,
    ),
    "payment": replace(payment_deployment.SERVICES["payment"], reactions=REACTIONS["payment"]),
    "shipping": Service(
        reactions=REACTIONS["shipping"],
        state=shipping.state,
        fault_rule=shipment_fault,
        invalid_codes=INVALID_LINES,
    ),
    "notification": replace(payment_deployment.SERVICES["notification"], reactions=REACTIONS["notification"]),
}

COMPENSATABLE = ("create-order", "reserve-stock", "authorize-payment", "capture-payment")
"""The actions with a compensation."""


def end_status(steps: Steps) -> str | None:
    """Returns the final status of a choreographed order, from all steps; `None` before the end.

    The order has ended when the customer has the last notice and no service still has to react, neither
    with a receipt nor with the compensation of a done step.
    """
    states = {action: step.state for action, step in steps.items()}
    shipment = states.get("create-shipment")
    if shipment is not None and "send-receipt" not in states:
        return None
    if shipment == "done":
        return "completed" if {"approve-order", "tell-customer"} <= states.keys() else None
    if "tell-customer" not in states or any(states.get(action) == "done" for action in COMPENSATABLE):
        return None
    if shipment == "voided":
        # A cancellation reaches every service, also one without any step of the order yet.
        return "cancelled" if states.keys() >= set(COMPENSATABLE) else None
    return "compensated"


def _cancel(saga_id: str) -> ServiceCommand:
    request = CancellationRequest(order_id=saga_id.removeprefix("order-"))
    return ServiceCommand(service="order", command=request_cancellation.name, message=request)


ORDER_SAGA = SagaType(
    message=Order,
    id_prefix="order-",
    saga_id=saga_of,
    workflow=OrderSaga.run,
    summary=lambda order: f"order of {order.customer.id}: {len(order.lines)} articles",
    start=lambda order: ServiceCommand(service="order", command=place_order.name, message=order),
    cancel=_cancel,
    end_status=end_status,
)

DEPLOYMENT = Deployment(
    services=SERVICES,
    ports={
        "order": 8101,
        "inventory": 8102,
        "payment": 8103,
        "shipping": 8104,
        "notification": 8105,
    },
    service_module="examples.order.services",
    worker_module="examples.order.worker",
    saga_types=(ORDER_SAGA, payment_deployment.PAYMENT_SAGA),
)
