"""The graph of who tells what to whom: whether it holds together, and the queues that it needs."""

from collections.abc import Collection
from typing import Any

from sagas import DefinitionError

from .._messaging.bus import Topology
from .event_type import Fact
from .reactions import Reactions, every_fact


def topology_of(*reactions: Reactions, loops: Collection[Fact[Any]] = ()) -> Topology:
    """Checks that the reactions of all participants fit together, and says which queues they need.

    Args:
        reactions: Of every participant, each once; more than one saga may be among them.
        loops: Facts at which events may go round in a circle, as something bounds them.

    Raises:
        DefinitionError: Nobody hears a fact that is not final, nobody tells one that is heard, a name
            stands for two facts, or events would go round in a circle.
    """
    _check_participants(reactions)
    _check_names(reactions)
    _check_heard(reactions)
    _check_circles(reactions, loops)
    return Topology(
        queues={
            each.participant.name: frozenset((fact.by, fact.name) for fact in each.facts)
            for each in reactions
        }
    )


def _check_participants(reactions: tuple[Reactions, ...]) -> None:
    names = [each.participant.name for each in reactions]
    for name in names:
        if names.count(name) > 1:
            raise DefinitionError(f"the reactions of {name!r} are given twice; add them up with `+`")


def _check_names(reactions: tuple[Reactions, ...]) -> None:
    known: dict[tuple[str, str], Fact[Any]] = {}
    for fact in every_fact(reactions):
        if known.setdefault((fact.by, fact.name), fact) != fact:
            raise DefinitionError(f"{fact.by!r} tells two facts called {fact.name!r}, with other data")


def _check_heard(reactions: tuple[Reactions, ...]) -> None:
    told = {fact for each in reactions for fact in each.told}
    heard = {fact for each in reactions for fact in each.facts}
    for fact in sorted(told - heard, key=lambda fact: fact.name):
        if not fact.is_final:
            raise DefinitionError(
                f"nobody reacts to {fact.name!r} of {fact.by!r}: react to it, or mark it `is_final`"
            )
    for fact in sorted(heard - told, key=lambda fact: fact.name):
        raise DefinitionError(f"nobody ever tells {fact.name!r}, which {fact.by!r} should tell")


def _check_circles(reactions: tuple[Reactions, ...], loops: Collection[Fact[Any]]) -> None:
    follows: dict[Fact[Any], list[Fact[Any]]] = {}
    for each in reactions:
        for fact in each.facts:
            follows.setdefault(fact, []).extend(each.told_after(fact))
    finished: set[Fact[Any]] = set(loops)

    def walk(fact: Fact[Any], path: tuple[Fact[Any], ...]) -> None:
        if fact in path:
            circle = " → ".join(f"{each.name!r}" for each in (*path[path.index(fact) :], fact))
            raise DefinitionError(
                f"events would go round in a circle: {circle}; if something bounds it, name one in `loops`"
            )
        if fact not in finished:
            for following in follows.get(fact, ()):
                walk(following, (*path, fact))
            finished.add(fact)

    for fact in follows:
        walk(fact, ())
