"""The exchanges, queues and bindings of a topology on RabbitMQ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..._declarations.names import exchange_name, queue_name
from ..._declarations.topology import Topology

DEAD: Final = "saga.dead"
"""The exchange and the queue of the dead letters of all participants."""
UNLIMITED: Final = 1_000_000_000
"""Deliveries; with a lower limit, RabbitMQ 4 drops a dead letter that operators have read often enough."""

QueueArguments: TypeAlias = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerTopology:
    """The declarations for RabbitMQ.

    Args:
        exchanges: The type of each durable exchange.
        queues: The arguments of each durable queue.
        bindings: Queue, exchange and routing key.
    """

    exchanges: Mapping[str, str]
    queues: Mapping[str, QueueArguments]
    bindings: frozenset[tuple[str, str, str]]


def build_broker_topology(topology: Topology, delivery_limit: int) -> BrokerTopology:
    """Derives the declarations from a topology.

    Delivery limit and dead-letter exchange are arguments of the queues: AMQP cannot set policies.
    """
    arguments: QueueArguments = {
        "x-queue-type": "quorum",
        # One active consumer at a time: two consumers would handle two events of a saga concurrently.
        "x-single-active-consumer": True,
        "x-delivery-limit": delivery_limit,
        "x-dead-letter-exchange": DEAD,
        # RabbitMQ can lose a message on its way to the dead letters unless both of these are set.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    bindings = {
        (queue_name(participant), exchange_name(source), event_type)
        for participant, received in topology.queues.items()
        for source, event_type in received
    }
    sources = topology.queues.keys() | {
        source for received in topology.queues.values() for source, _ in received
    }
    return BrokerTopology(
        exchanges={DEAD: "fanout", **{exchange_name(source): "topic" for source in sorted(sources)}},
        queues={
            DEAD: {"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED},
            **{queue_name(participant): arguments for participant in sorted(topology.queues)},
        },
        bindings=frozenset({(DEAD, DEAD, ""), *bindings}),
    )
