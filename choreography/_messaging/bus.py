"""The interface between participants and a message broker, with the guarantees of every implementation."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from .._declarations.event import Event
from .._declarations.topology import Topology

EventHandler: TypeAlias = Callable[[Event], Awaitable[None]]
"""Handles one event; after the handler returns, the bus does not deliver the event again."""


class Bus(Protocol):
    """A message broker. The bus in memory and the bus on RabbitMQ give the same guarantees.

    - **Published is safe.** When `publish` returns, the queue of every subscriber holds the event until the
      event is handled, across restarts of the broker. When `publish` raises, the outcome is unknown: publish
      the event again.
    - **At least once.** A queue delivers an event until a handler returns, and may deliver the event more
      often. The order of events of different publishers is undefined.
    - **In order, one at a time.** Events of a saga that one publisher published one after the other are
      delivered in this order, apart from redeliveries. A queue never gives two events of a saga to the
      handler at the same time.
    - **Nothing vanishes.** An event moves to the dead letters, with the reason, when the event is unreadable,
      is refused with `DeadLetterError`, or fails at every delivery. The queue continues.
    - **No silent loss.** `publish` raises when the topology names a subscriber without a queue.
    """

    async def declare(self, topology: Topology) -> None:
        """Creates the missing queues of a topology; call `declare` before `publish` and `consume`.

        Raises:
            BusUnavailableError: The broker is unreachable.
            TopologyError: A name is invalid, or a queue exists with other arguments.
        """
        ...

    async def publish(self, event: Event) -> None:
        """Publishes an event; returns when the event is safe.

        Raises:
            BusUnavailableError: The broker is unreachable, or did not confirm in time.
            ContractError: The event cannot be encoded.
            UnroutableError: The queue of a subscriber is missing, or no topology was declared.
        """
        ...

    def consume(self, participant: str, handle: EventHandler) -> AbstractAsyncContextManager[None]:
        """Gives the events in the queue of a participant to `handle` while the context is open.

        The consumer survives a loss of the broker and resumes automatically. Closing the context waits for
        running handlers.

        Raises:
            TopologyError: The participant is not in a declared topology.
        """
        ...
