"""Who reacts to what in all the examples: what each service process runs, and the queues that they need."""

from choreography import build_topology
from examples.order import inventory, orders, shipping
from examples.order import notification as notification_of_orders
from examples.order import payment as payment_of_orders
from examples.payment import notification, service

REACTIONS = {
    "order": orders.REACTIONS,
    "inventory": inventory.REACTIONS,
    "shipping": shipping.REACTIONS,
    "payment": service.REACTIONS + payment_of_orders.REACTIONS,
    "notification": notification.REACTIONS + notification_of_orders.REACTIONS,
}
"""Each service's own; a process knows its reactions, and nobody runs the whole."""

TOPOLOGY = build_topology(*REACTIONS.values())
"""The queues of all services: a broker has to have them before the first event."""
