"""What stands on RabbitMQ: which exchanges, queues and bindings there are, and how they are called."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..bus import Topology

DEAD: Final = "saga.dead"
"""The exchange and the queue of the dead letters, of all participants."""
UNLIMITED: Final = 1_000_000_000
"""Deliveries; newer brokers would drop a dead letter that was looked at twenty times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What has to be declared.

    Args:
        exchanges: Each durable one with its type.
        queues: Each durable one with its arguments.
        bindings: Queue, exchange and routing key.
    """

    exchanges: Mapping[str, str]
    queues: Mapping[str, Mapping[str, str | int | bool]]
    bindings: frozenset[tuple[str, str, str]]


def exchange_of(source: str) -> str:
    """The exchange to which only this participant publishes."""
    return f"{source}.events"


def queue_of(participant: str) -> str:
    """The queue from which only this participant consumes: one, so that cause and effect stay in order."""
    return f"{participant}.in"


def participant_of(queue: str) -> str:
    """Whose queue it is."""
    return queue.removesuffix(".in")


def layout(topology: Topology, delivery_limit: int) -> Layout:
    """What a topology comes to on the broker.

    The limit and the dead letters are arguments of the queues, as policies cannot be set over AMQP.
    """
    # Only one of several processes gets the events of a queue, and the next one when it is gone: two of
    # them would handle two events of a saga at the same time.
    arguments: Mapping[str, str | int | bool] = {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-delivery-limit": delivery_limit,
        "x-dead-letter-exchange": DEAD,
        # Without both of these, a message on its way to the dead letters can be lost.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    bindings = {
        (queue_of(participant), exchange_of(source), event_type)
        for participant, heard in topology.queues.items()
        for source, event_type in heard
    }
    sources = topology.queues.keys() | {source for heard in topology.queues.values() for source, _ in heard}
    return Layout(
        exchanges={DEAD: "fanout", **{exchange_of(source): "topic" for source in sorted(sources)}},
        queues={
            DEAD: {"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED},
            **{queue_of(participant): arguments for participant in sorted(topology.queues)},
        },
        bindings=frozenset({(DEAD, DEAD, ""), *bindings}),
    )
