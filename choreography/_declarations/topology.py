"""The topology: the subscriptions of all participants, and the checks across all reactions."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sagas import DefinitionError

from .._errors import TopologyError
from .event import Event
from .event_type import AnyEventType
from .names import NAME_RULE, is_name
from .reactions import Reactions


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The subscriptions of all participants.

    Args:
        queues: The events for the queue of each participant, as pairs of source and type.
    """

    queues: Mapping[str, frozenset[tuple[str, str]]]

    def find_subscribers(self, event: Event) -> frozenset[str]:
        """Finds the participants with a reaction to an event."""
        published = (event.source, event.type)
        return frozenset(name for name, received in self.queues.items() if published in received)

    def check_names(self) -> None:
        """Refuses invalid names, such as the patterns of a broker.

        Raises:
            TopologyError: The name of a participant, a source or an event type is invalid.
        """
        for participant, received in self.queues.items():
            for name in (participant, *(part for pair in sorted(received) for part in pair)):
                if not is_name(name):
                    raise TopologyError(
                        f"{name!r} in the subscriptions of participant {participant!r} is not a valid name: "
                        f"use {NAME_RULE}"
                    )

    def merge(self, more: "Topology") -> "Topology":
        """Combines two topologies: the queue of a participant receives the events of both."""
        queues = dict(self.queues)
        for participant, received in more.queues.items():
            queues[participant] = queues.get(participant, frozenset()) | received
        return Topology(queues=queues)


def build_topology(*reactions: Reactions, loops: Collection[AnyEventType] = ()) -> Topology:
    """Checks the reactions of all participants against each other, and derives the subscriptions.

    Args:
        reactions: The reactions of every participant, each participant once; may cover several sagas.
        loops: Event types at which a cycle is allowed, because the business code ends the cycle.

    Raises:
        DefinitionError: An event type that is not final has no subscriber, a subscribed event type is never
            published, a name stands for two event types, or events would cause each other in a cycle.
    """
    _check_participants(reactions)
    _check_names(reactions)
    _check_subscribers(reactions)
    _check_cycles(reactions, loops)
    return Topology(
        queues={
            each.participant.name: frozenset(
                (event_type.source, event_type.name) for event_type in each.event_types
            )
            for each in reactions
        }
    )


def _check_participants(reactions: tuple[Reactions, ...]) -> None:
    names = [each.participant.name for each in reactions]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"the reactions of {name!r} are given twice: add them with `+`")


def _check_names(reactions: tuple[Reactions, ...]) -> None:
    known: dict[tuple[str, str], AnyEventType] = {}
    for event_type in _find_event_types(reactions):
        if known.setdefault((event_type.source, event_type.name), event_type) != event_type:
            raise DefinitionError(
                f"participant {event_type.source!r} has two event types called {event_type.name!r}: "
                "declare the event type once"
            )


def _check_subscribers(reactions: tuple[Reactions, ...]) -> None:
    published = {event_type for each in reactions for event_type in each.published_event_types}
    subscribed = {event_type for each in reactions for event_type in each.event_types}
    for event_type in sorted(published - subscribed, key=lambda each: each.name):
        if not event_type.is_final:
            raise DefinitionError(
                f"no participant reacts to {event_type.name!r} of {event_type.source!r}: "
                "add a reaction, or mark the event type `is_final`"
            )
    for event_type in sorted(subscribed - published, key=lambda each: each.name):
        raise DefinitionError(
            f"no reaction of {event_type.source!r} publishes {event_type.name!r}, "
            "to which another participant reacts"
        )


def _check_cycles(reactions: tuple[Reactions, ...], loops: Collection[AnyEventType]) -> None:
    follows: dict[AnyEventType, list[AnyEventType]] = {}
    for each in reactions:
        for event_type in each.event_types:
            follows.setdefault(event_type, []).extend(each.find_published(event_type))
    finished: set[AnyEventType] = set(loops)

    def walk(event_type: AnyEventType, path: tuple[AnyEventType, ...]) -> None:
        if event_type in path:
            cycle = " → ".join(f"{each.name!r}" for each in (*path[path.index(event_type) :], event_type))
            raise DefinitionError(
                f"events would cause each other in a cycle: {cycle}; "
                "if the business code ends the cycle, name one of the event types in `loops`"
            )
        if event_type not in finished:
            for following in follows.get(event_type, ()):
                walk(following, (*path, event_type))
            finished.add(event_type)

    for event_type in follows:
        walk(event_type, ())


def _find_event_types(reactions: tuple[Reactions, ...]) -> Iterator[AnyEventType]:
    for each in reactions:
        yield from each.published_event_types
        yield from each.event_types
