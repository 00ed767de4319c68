"""The book of effects: the applied, compensated and voided effects of steps, by idempotency key."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ..._errors import RejectedError

VOIDED_CODE = "voided"


class EffectState(StrEnum):
    """The state of an effect at a participant."""

    APPLIED = "applied"
    """The action has taken effect, and the effect is there."""
    COMPENSATED = "compensated"
    """The effect was compensated."""
    VOIDED = "voided"
    """The compensation came first: a later action with the same key has no effect."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a step.

    Args:
        state: The state.
        result: The answer of the action.
    """

    state: EffectState
    result: object = None


class EffectBook:
    """Effects by idempotency key, with the rules of a correct participant.

    - A repeated action has no further effect, and gets the first answer.
    - A compensation without an action voids the key; a repeated compensation has no effect.
    - An action with a voided or compensated key is rejected.
    """

    def __init__(self) -> None:
        self._effects: dict[str, Effect] = {}

    def apply(self, key: str, result: object) -> object:
        """Executes an action, and returns the answer.

        Raises:
            RejectedError: The key is voided or compensated.
        """
        effect = self._effects.get(key)
        if effect is not None and effect.state is not EffectState.APPLIED:
            raise RejectedError(VOIDED_CODE, f"the key {key!r} was compensated before the request")
        if effect is None:
            effect = self._effects[key] = Effect(EffectState.APPLIED, result)
        return effect.result

    def compensate(self, key: str) -> None:
        """Executes a compensation."""
        effect = self._effects.get(key)
        if effect is None:
            self._effects[key] = Effect(EffectState.VOIDED)
        elif effect.state is EffectState.APPLIED:
            self._effects[key] = Effect(EffectState.COMPENSATED, effect.result)

    def get(self, key: str) -> Effect | None:
        """The effect with a key; None if neither the action nor the compensation was executed."""
        return self._effects.get(key)

    def void(self, key: str) -> None:
        """Voids a key without an effect."""
        self._effects.setdefault(key, Effect(EffectState.VOIDED))

    def __iter__(self) -> Iterator[tuple[str, Effect]]:
        return iter(self._effects.items())
