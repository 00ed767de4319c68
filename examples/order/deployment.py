"""Who reacts to what in all the examples: what each service process runs, and the queues that they need."""

from choreography import topology_of
from examples.order.services import inventory, orders, shipping
from examples.order.services import notification_reactions as notification_of_orders
from examples.order.services import payment_reactions as payment_of_orders
from examples.payment.services import notification
from examples.payment.services import payment as service

REACTIONS = {
    "order": orders.REACTIONS,
    "inventory": inventory.REACTIONS,
    "shipping": shipping.REACTIONS,
    "payment": service.REACTIONS + payment_of_orders.REACTIONS,
    "notification": notification.REACTIONS + notification_of_orders.REACTIONS,
}
"""Each service's own; a process knows its reactions, and nobody runs the whole."""

TOPOLOGY = topology_of(*REACTIONS.values())
"""The queues of all services: a broker has to have them before the first event."""
