"""The effect classes of actions: what a failed saga can do about the effect of an action."""

from enum import StrEnum


class EffectClass(StrEnum):
    """The class of an action's effect; a bare action has no class."""

    COMPENSATABLE = "compensatable"
    """A compensation semantically undoes the effect."""
    READ_ONLY = "read-only"
    """The action has no effect: there is nothing to compensate, whatever the outcome."""
    IRREVERSIBLE = "irreversible"
    """No compensation exists: the effect stays."""
