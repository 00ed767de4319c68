"""Checks of the options of a declaration; a refusal names the option, the allowed values and the value."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import cast

from .._core.activity_policy import LONGEST_TIMEOUT
from .._errors import DefinitionError


def refusal(option: str, wanted: str, value: object) -> DefinitionError:
    """The error for a wrong value of an option."""
    shown = str(value) if isinstance(value, timedelta) else repr(value)
    return DefinitionError(f"{option} must be {wanted}, not {shown}")


def check_duration(option: str, value: object) -> None:
    """Refuses everything but a timedelta.

    Raises:
        DefinitionError: The value is refused.
    """
    if not isinstance(value, timedelta):
        raise refusal(option, "a timedelta", value)


def check_positive_duration(option: str, value: object) -> None:
    """Refuses everything but a timedelta above 0.

    Raises:
        DefinitionError: The value is refused.
    """
    check_duration(option, value)
    if cast("timedelta", value) <= timedelta(0):
        raise refusal(option, "a timedelta above 0", value)


def check_timeout(option: str, value: object) -> None:
    """Refuses everything but a timedelta above 0 and at most 30 days.

    Raises:
        DefinitionError: The value is refused.
    """
    if not isinstance(value, timedelta) or not timedelta(0) < value <= LONGEST_TIMEOUT:
        raise refusal(option, f"a timedelta above 0 and at most {LONGEST_TIMEOUT.days} days", value)


def check_count(option: str, value: object, least: int, most: int) -> None:
    """Refuses everything but an int in a range.

    Raises:
        DefinitionError: The value is refused.
    """
    # `bool` is a subclass of `int`.
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise refusal(option, f"an int from {least} to {most}", value)


def check_number(option: str, value: object, least: float, most: float) -> None:
    """Refuses everything but an int or float in a range.

    Raises:
        DefinitionError: The value is refused.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise refusal(option, f"a number from {least} to {most}", value)


def check_text(option: str, value: object, most: int | None = None) -> None:
    """Refuses everything but text that is not blank, of a limited number of bytes in UTF-8.

    Raises:
        DefinitionError: The value is refused.
    """
    if not isinstance(value, str) or not value.strip() or (most and len(value.encode()) > most):
        raise refusal(option, f"text of 1 to {most} bytes" if most else "text that is not blank", value)


def check_names(option: str, value: object) -> frozenset[str]:
    """Returns a set of names as a frozenset.

    Raises:
        DefinitionError: The value is not a set of names.
    """
    names = cast("AbstractSet[object]", value)
    if not isinstance(value, AbstractSet) or not _are_names(names):
        raise refusal(option, "a set of names", names)
    return frozenset(cast("AbstractSet[str]", names))


def check_list_of_names(option: str, value: object) -> tuple[str, ...]:
    """Returns a sequence of names as a tuple.

    Raises:
        DefinitionError: The value is not a sequence of names, or is text.
    """
    names = cast("Sequence[object]", value)
    if not isinstance(value, Sequence) or isinstance(value, str) or not _are_names(names):
        raise refusal(option, "a list of names", names)
    return tuple(cast("Sequence[str]", names))


def _are_names(values: AbstractSet[object] | Sequence[object]) -> bool:
    return all(isinstance(value, str) and value.strip() for value in values)
