"""Reads a failed pydantic validation without the rejected input, because input may hold secrets."""

from typing import NamedTuple

from pydantic import ValidationError


class FieldError(NamedTuple):
    """The first error of a validation: the location, and the broken rule."""

    location: tuple[int | str, ...]
    rule: str


def find_first_error(error: ValidationError) -> FieldError:
    """Finds the first error of a validation."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return FieldError(first["loc"], first["msg"])
