"""Reads a failed pydantic validation without the rejected values, because values may hold secrets."""

from typing import NamedTuple

from pydantic import ValidationError


class InvalidField(NamedTuple):
    """A broken rule of a validation.

    Args:
        path: The field as a dotted path: `lines.0.quantity`; empty for the whole value.
        rule: The broken rule, in pydantic's words: `Input should be greater than 0`.
        type: The type of the error, in pydantic's terms: `greater_than`.
    """

    path: str
    rule: str
    type: str

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}" if self.path else self.rule


def invalid_fields(error: ValidationError) -> tuple[InvalidField, ...]:
    """Returns the broken rules of a validation, without the rejected values.

    Error texts stay in histories, logs and dead letters, where the values would be readable.
    """
    rules = error.errors(include_url=False, include_context=False, include_input=False)
    return tuple(InvalidField(".".join(map(str, rule["loc"])), rule["msg"], rule["type"]) for rule in rules)
