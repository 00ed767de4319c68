"""What participants need of a message broker, and what they may rely on."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from .._declarations.event import Event

Handler = Callable[[Event], Awaitable[None]]
"""Handles one event; when it returns, the event is done with, and is not delivered again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Who hears what: per participant, the types of events it reacts to, and who tells them.

    Args:
        queues: The events that each participant's queue gets, as pairs of source and type.
    """

    queues: Mapping[str, frozenset[tuple[str, str]]]

    def is_heard(self, event: Event) -> bool:
        """Whether anybody reacts to this event."""
        return bool(self.who_hears(event))

    def who_hears(self, event: Event) -> frozenset[str]:
        """The participants that react to this event."""
        told = (event.source, event.type)
        return frozenset(name for name, heard in self.queues.items() if told in heard)


class Bus(Protocol):
    """A message broker, as participants see it. In memory and on RabbitMQ it keeps the same promises.

    - **Published is safe.** When `publish` returns, every queue that hears the event has it, and keeps it
      until it is handled, also when the broker restarts. When it raises, nobody knows: publish it again.
    - **At least once.** A queue delivers an event until its handler returns. It may deliver it more than
      once, and it says nothing about the order of events of different publishers.
    - **In order, one by one.** Events of one saga that one publisher published one after the other are
      delivered in that order as long as none is redelivered, and a queue never hands two events of one saga
      to its handler at the same time.
    - **Nothing vanishes.** What cannot be read, or is refused with `DeadLetterError`, or fails again and
      again, goes to the dead letters with its reason, and the queue goes on.
    - **Nobody is talked to who is not there.** An event that the topology says is heard, and for which
      there is no queue, is an error of `publish`, never a silent loss.
    """

    async def declare(self, topology: Topology) -> None:
        """Makes sure that every queue of the topology exists, before anything is published.

        Raises:
            BusUnavailableError: The broker cannot be reached.
            TopologyError: A queue exists in another shape.
        """
        ...

    async def publish(self, event: Event) -> None:
        """Hands an event over; returns when it is safe.

        Raises:
            BusUnavailableError: The broker cannot be reached, or did not confirm in time.
            UnroutableError: No queue hears it, and one should.
        """
        ...

    def consume(self, participant: str, handle: Handler) -> AbstractAsyncContextManager[None]:
        """Hands the events of a participant's queue to `handle` for as long as the context is open.

        A broker that goes away and comes back is a pause, not an error. When the context closes, handlers
        that run are waited for.
        """
        ...
