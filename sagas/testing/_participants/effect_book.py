"""The book of effects: applied, confirmed, compensated and voided effects, by idempotency key."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ..._errors import RejectedError

VOIDED_CODE = "voided"
UNCONFIRMED_CODE, CONFIRMED_CODE = "nothing_to_confirm", "confirmed"


class EffectState(StrEnum):
    """The state of an effect at a participant."""

    APPLIED = "applied"
    """The action has taken effect, and the effect is there."""
    CONFIRMED = "confirmed"
    """The effect is there, and was confirmed."""
    COMPENSATED = "compensated"
    """The effect was compensated."""
    VOIDED = "voided"
    """The compensation came first: a later action with the same key has no effect."""

    @property
    def is_there(self) -> bool:
        """Whether the effect is there, confirmed or not."""
        return self in (EffectState.APPLIED, EffectState.CONFIRMED)


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
    - A repeated confirmation has no further effect; a confirmation without an effect is rejected, and the
      compensation of a confirmed effect as well.
    """

    def __init__(self) -> None:
        self._effects: dict[str, Effect] = {}

    def apply(self, key: str, result: object) -> object:
        """Executes an action, and returns the answer.

        Raises:
            RejectedError: The key is voided or compensated.
        """
        effect = self._effects.get(key)
        if effect is not None and not effect.state.is_there:
            raise RejectedError(VOIDED_CODE, f"the key {key!r} was compensated before the request")
        if effect is None:
            effect = self._effects[key] = Effect(EffectState.APPLIED, result)
        return effect.result

    def confirm(self, key: str) -> None:
        """Executes a confirmation.

        Raises:
            RejectedError: The key has no effect.
        """
        effect = self._effects.get(key)
        if effect is None or not effect.state.is_there:
            raise RejectedError(UNCONFIRMED_CODE, f"the key {key!r} has no effect to confirm")
        self._effects[key] = Effect(EffectState.CONFIRMED, effect.result)

    def compensate(self, key: str) -> None:
        """Executes a compensation.

        Raises:
            RejectedError: The effect was confirmed.
        """
        effect = self._effects.get(key)
        if effect is not None and effect.state is EffectState.CONFIRMED:
            raise RejectedError(CONFIRMED_CODE, f"the effect of {key!r} was confirmed")
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
