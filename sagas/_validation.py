"""Reads a failed pydantic validation without the rejected values, because values may hold secrets."""

from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

UNKNOWN_TAG = "union_tag_invalid"
"""The type of the only error whose text quotes the input: the tag of a union."""


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
    rules = error.errors(include_url=False, include_context=True, include_input=False)
    return tuple(
        InvalidField(".".join(map(str, rule["loc"])), _rule_without_tag(rule), rule["type"]) for rule in rules
    )


def without_values(error: ValidationError) -> ValidationError:
    """Returns the same failed validation, without the rejected values: the fields, rules and types only."""
    try:
        located = [rule["loc"] for rule in error.errors(include_context=False, include_input=False)]
        rules = [
            InitErrorDetails(type=_custom_error(field), loc=location, input=None)
            for location, field in zip(located, invalid_fields(error), strict=True)
        ]
        return ValidationError.from_exception_data(error.title, rules, hide_input=True)
    except Exception:  # noqa: BLE001 - a rule of foreign code may have no readable text
        return ValidationError.from_exception_data("a value with unreadable rules", [], hide_input=True)


def _custom_error(field: InvalidField) -> PydanticCustomError:
    # Pydantic asks for literals, to be safe from unintended placeholders; an error without context has none.
    return PydanticCustomError(field.type, field.rule)  # pyright: ignore[reportArgumentType]


def _rule_without_tag(rule: ErrorDetails) -> str:
    if rule["type"] != UNKNOWN_TAG:
        return rule["msg"]
    expected = rule.get("ctx", {}).get("expected_tags", "")
    return f"Input tag does not match any of the expected tags: {expected}"
