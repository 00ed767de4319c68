"""Everything that one participant reacts to; refused where it is made if it contradicts itself."""

from collections.abc import Iterator
from typing import Any

from sagas import DefinitionError

from .event_type import Cause, Command, Fact
from .participant import Participant
from .reaction import Compensate, Do, Reaction, Tell, Void


class Reactions:
    """What a participant does on which event or command. Immutable; `a + b` is both.

    Reactions to one event happen in the order in which they are given, in one transaction.

    Args:
        participant: Who reacts, with the business code of its operations.
        reactions: Made by `on(…)`.

    Raises:
        DefinitionError: An operation or a fact belongs to another participant, or nobody could say what
            happens on an event.
    """

    __slots__ = ("participant", "reactions")

    participant: Participant
    reactions: tuple[Reaction, ...]

    def __init__(self, participant: Participant, *reactions: Reaction) -> None:
        self.participant, self.reactions = participant, reactions
        for reaction in reactions:
            _check_operation(participant, reaction)
            _check_told(participant, reaction)
        for cause in dict.fromkeys(cause for reaction in reactions for cause in reaction.causes):
            _check_unambiguous(participant, cause, self.to(cause))
        _check_names(participant, self.causes)

    def __add__(self, more: "Reactions") -> "Reactions":
        if more.participant is not self.participant:
            raise DefinitionError(
                f"the reactions of {self.participant.name!r} and of {more.participant.name!r} are two things"
            )
        return Reactions(self.participant, *self.reactions, *more.reactions)

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Every fact and command that it reacts to, each once."""
        return tuple(dict.fromkeys(cause for reaction in self.reactions for cause in reaction.causes))

    @property
    def facts(self) -> tuple[Fact[Any], ...]:
        """Every fact that it reacts to."""
        return tuple(cause for cause in self.causes if isinstance(cause, Fact))

    @property
    def commands(self) -> tuple[Command[Any], ...]:
        """Everything that it can be asked for from outside."""
        return tuple(cause for cause in self.causes if isinstance(cause, Command))

    @property
    def told(self) -> tuple[Fact[Any], ...]:
        """Every fact that it may tell."""
        return tuple(dict.fromkeys(fact for cause in self.causes for fact in self.told_after(cause)))

    def to(self, cause: Cause) -> tuple[Reaction, ...]:
        """The reactions to one fact or command, in their order."""
        return tuple(reaction for reaction in self.reactions if cause in reaction.causes)

    def told_after(self, cause: Cause) -> tuple[Fact[Any], ...]:
        """Every fact that it may tell because of `cause`."""
        return tuple(telling.fact for reaction in self.to(cause) for telling in reaction.tells)


def _check_operation(participant: Participant, reaction: Reaction) -> None:
    if not reaction.causes:
        raise DefinitionError(f"a reaction of {participant.name!r} is to nothing: name a fact in `on(…)`")
    if isinstance(reaction, Tell):
        return
    operation = reaction.operation
    try:
        handled = participant.handled(operation.name)
    except KeyError:
        raise DefinitionError(
            f"{participant.name!r} cannot react with {operation.name!r}: it has no business code for it"
        ) from None
    if isinstance(reaction, Compensate) and handled.compensation is None:
        raise DefinitionError(
            f"{participant.name!r} has nothing that makes up for {operation.name!r}; `void` is for a pivot"
        )


def _check_told(participant: Participant, reaction: Reaction) -> None:
    for telling in reaction.tells:
        if telling.fact.by != participant.name:
            raise DefinitionError(
                f"{participant.name!r} cannot tell {telling.fact.name!r}: it is a fact of {telling.fact.by!r}"
            )


def _check_unambiguous(participant: Participant, cause: Cause, reactions: tuple[Reaction, ...]) -> None:
    steps: set[tuple[str, str]] = set()
    told: set[str] = set()
    for reaction in reactions:
        if isinstance(reaction, Do | Compensate | Void):
            step = (reaction.within, reaction.operation.name)
            if step in steps:
                raise DefinitionError(
                    f"{participant.name!r} reacts to {cause.name!r} with {step[1]!r} twice; once is enough"
                )
            steps.add(step)
        # The alternatives of one reaction exclude each other; those of two reactions do not.
        names = {telling.fact.name for telling in reaction.tells}
        if again := names & told:
            raise DefinitionError(
                f"two reactions of {participant.name!r} to {cause.name!r} tell {min(again)!r}: "
                "both would be one event"
            )
        told |= names


def _check_names(participant: Participant, causes: tuple[Cause, ...]) -> None:
    names = [_identity(cause) for cause in causes]
    for cause in causes:
        if names.count(_identity(cause)) > 1:
            raise DefinitionError(
                f"{participant.name!r} reacts to two things called {cause.name!r}, with other data"
            )


def _identity(cause: Cause) -> tuple[str, str]:
    return (cause.by if isinstance(cause, Fact) else "", cause.name)


def every_fact(reactions: tuple[Reactions, ...]) -> Iterator[Fact[Any]]:
    """Every fact that somebody tells or reacts to."""
    for each in reactions:
        yield from each.told
        yield from each.facts
