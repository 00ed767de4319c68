"""All reactions of a participant; contradictions are refused at construction."""

from sagas import DefinitionError

from .event_type import AnyCommandType, AnyEventType, Cause, CommandType, EventType
from .participant import Participant
from .reaction import Compensate, Publish, Reaction


class Reactions:
    """The reactions of a participant. Immutable; `a + b` has the reactions of both.

    The reactions to an event run in the given order, in one transaction.

    Args:
        participant: The participant, with business code for every operation of the reactions.
        reactions: Made by `on(…)`.

    Raises:
        DefinitionError: An operation or a published event belongs to another participant, or two reactions
            contradict each other.
    """

    __slots__ = ("participant", "reactions")

    participant: Participant
    reactions: tuple[Reaction, ...]

    def __init__(self, participant: Participant, *reactions: Reaction) -> None:
        self.participant, self.reactions = participant, reactions
        for reaction in reactions:
            _check_operation(participant, reaction)
            _check_sources(participant, reaction)
        for cause in self.causes:
            _check_unambiguous(participant, cause, self.find_reactions(cause))
        _check_names(participant, self.causes)

    def __add__(self, more: "Reactions") -> "Reactions":
        if more.participant is not self.participant:
            raise DefinitionError(
                f"reactions of {self.participant.name!r} and of {more.participant.name!r} cannot be added: "
                "`+` takes reactions of one participant"
            )
        return Reactions(self.participant, *self.reactions, *more.reactions)

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Every event type and command type with a reaction, each once."""
        return tuple(dict.fromkeys(cause for reaction in self.reactions for cause in reaction.causes))

    @property
    def event_types(self) -> tuple[AnyEventType, ...]:
        """Every event type with a reaction: the subscriptions of the participant."""
        return tuple(cause for cause in self.causes if isinstance(cause, EventType))

    @property
    def command_types(self) -> tuple[AnyCommandType, ...]:
        """Every command type with a reaction."""
        return tuple(cause for cause in self.causes if isinstance(cause, CommandType))

    @property
    def published_event_types(self) -> tuple[AnyEventType, ...]:
        """Every event type that the participant may publish, each once."""
        return tuple(dict.fromkeys(each for cause in self.causes for each in self.find_published(cause)))

    def find_reactions(self, cause: Cause) -> tuple[Reaction, ...]:
        """Finds the reactions to an event type or a command type, in their order."""
        return tuple(reaction for reaction in self.reactions if cause in reaction.causes)

    def find_published(self, cause: Cause) -> tuple[AnyEventType, ...]:
        """Finds the event types that the participant may publish because of `cause`."""
        return tuple(
            event_type
            for reaction in self.find_reactions(cause)
            for event_type in reaction.published_event_types
        )


def _check_operation(participant: Participant, reaction: Reaction) -> None:
    if not reaction.causes:
        raise DefinitionError(
            f"a reaction of {participant.name!r} has no cause: name event types or a command type in `on(…)`"
        )
    if isinstance(reaction, Publish):
        return
    operation = reaction.operation
    try:
        handler = participant.find_handler(operation.name)
    except KeyError:
        raise DefinitionError(
            f"participant {participant.name!r} cannot react with {operation.name!r}: "
            "add an `OperationHandler` for the action"
        ) from None
    if isinstance(reaction, Compensate) and handler.compensation is None:
        raise DefinitionError(
            f"participant {participant.name!r} has no compensation for {operation.name!r}: "
            "add one with `compensated_by`, or use `void` for a pivot"
        )


def _check_sources(participant: Participant, reaction: Reaction) -> None:
    for event_type in reaction.published_event_types:
        if event_type.source != participant.name:
            raise DefinitionError(
                f"participant {participant.name!r} cannot publish {event_type.name!r}: "
                f"the source of the event type is {event_type.source!r}"
            )


def _check_unambiguous(participant: Participant, cause: Cause, reactions: tuple[Reaction, ...]) -> None:
    steps: set[tuple[str, str]] = set()
    published: set[str] = set()
    for reaction in reactions:
        if not isinstance(reaction, Publish):
            step = (reaction.child_saga, reaction.operation.name)
            if step in steps:
                raise DefinitionError(
                    f"participant {participant.name!r} reacts to {cause.name!r} with {step[1]!r} twice: "
                    "remove a reaction"
                )
            steps.add(step)
        # The outcomes of one reaction exclude each other; the outcomes of two reactions do not.
        names = {event_type.name for event_type in reaction.published_event_types}
        if again := names & published:
            raise DefinitionError(
                f"two reactions of {participant.name!r} to {cause.name!r} publish {min(again)!r}: "
                "both events would have the same id, and one would be lost"
            )
        published |= names


def _check_names(participant: Participant, causes: tuple[Cause, ...]) -> None:
    names = [_identity(cause) for cause in causes]
    for cause in causes:
        if names.count(_identity(cause)) > 1:
            raise DefinitionError(
                f"participant {participant.name!r} reacts to two declarations of {cause.name!r}: "
                "declare the type once"
            )


def _identity(cause: Cause) -> tuple[str, str]:
    return (cause.source if isinstance(cause, EventType) else "", cause.name)
