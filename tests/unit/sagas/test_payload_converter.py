"""The payload converter of sagas: the shortcut for models writes and reads the same as the base converter."""

import typing
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import pytest
from pydantic import AfterValidator, BaseModel, ValidationError, field_validator
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from sagas._temporal.payload_converter import SagaPayloadConverter
from sagas._wire.child_saga import child_result_type

OURS, BASE = SagaPayloadConverter(), PydanticPayloadConverter()
TEMPORAL = DataConverter.default.payload_converter


class Colour(StrEnum):
    RED = "red"


class Seat(BaseModel):
    row: int

    @field_validator("row")
    @classmethod
    def is_there(cls, row: int) -> int:
        return {7: row, 8: row}[row]


def only_seven(seat: Seat) -> Seat:
    assert seat.row == 7, "only row 7 is free"
    return seat


VALUES: list[tuple[Any, Any]] = [
    (Seat(row=7), Seat),
    (Seat(row=7), Annotated[Seat, AfterValidator(only_seven)]),
    ([Seat(row=7)], list[Seat]),
    (None, Seat),
    ("text", str),
    (Colour.RED, Colour),
    (b"bytes", bytes),
    ({"a": 1}, dict[str, int]),
]


@pytest.mark.parametrize(("value", "kind"), VALUES)
def test_payloads_equal_those_of_the_base(value: Any, kind: Any) -> None:
    """The shortcut changes neither payloads nor values."""
    payloads = OURS.to_payloads([value])

    assert payloads == BASE.to_payloads([value])
    assert OURS.from_payloads(payloads, [kind]) == BASE.from_payloads(payloads, [kind]) == [value]


def test_a_validator_beside_a_model_is_kept() -> None:
    """`Annotated` resembles the annotated model, but adds a validator."""
    payloads = BASE.to_payloads([Seat(row=8)])

    with pytest.raises(ValidationError, match="only row 7 is free"):
        OURS.from_payloads(payloads, [Annotated[Seat, AfterValidator(only_seven)]])  # type: ignore[list-item]


def test_any_error_of_a_model_refuses_the_payload() -> None:
    """Temporal would take any other error for a bug of the workflow, and retry without end."""
    payloads = BASE.to_payloads([{"row": 99}])

    with pytest.raises(ApplicationError, match="a payload cannot be read as Seat: KeyError") as refused:
        OURS.from_payloads(payloads, [Seat])

    assert refused.value.non_retryable


@pytest.mark.parametrize("result", [Seat, object, Annotated[int, {"unit": "cents"}]], ids=str)
def test_a_child_may_return_any_type(result: Any) -> None:
    """Unhashable types work as well, without a cache."""
    assert "result" in child_result_type(result).model_fields


class Room(typing.TypedDict):
    city: str


class Tour(typing.TypedDict):
    rooms: list[Room]
    names: Iterable[str]


@dataclass(frozen=True)
class Journey:
    room: Room
    names: Iterable[str]


@dataclass(frozen=True)
class Group:
    names: Iterable[str]
    rows: dict[str, Iterable[int]]


class Guests(BaseModel):
    names: Iterable[str]


class Stay(NamedTuple):
    room: Room


class Opaque:
    """A type that neither pydantic nor Temporal can read."""


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"city": "Rome"}, Room),
        ([{"city": "Rome"}], list[Room]),
        ({"city": "Rome"}, Room | None),
        ({"rooms": [{"city": "Rome"}], "names": ["a", "b"]}, Tour),
        ({"room": {"city": "Rome"}, "names": ["a", "b"]}, Journey),
        ([{"city": "Rome"}], Stay),
        (["a", "b"], Iterable[str]),
        (["a", "b"], Iterable),
        (["a", "b"], Iterator[str]),
        (["a", "b"], Generator[str, None, None]),
        (["a", "b"], Collection[str]),
        ({"a": [1, 2]}, dict[str, Iterable[int]]),
        ({"names": ["a"], "rows": {"x": [1, 2]}}, Group),
    ],
    ids=str,
)
def test_adopting_the_plugin_changes_no_value(value: Any, kind: Any) -> None:
    """What Temporal's default converter reads is read the same, also at the second iteration."""
    payloads = TEMPORAL.to_payloads([value])
    (expected,) = TEMPORAL.from_payloads(payloads, [kind])

    assert OURS.from_payloads(payloads, [kind]) == [expected]


def test_an_iterable_of_a_model_is_a_list() -> None:
    """Pydantic's own iterator is empty after the first iteration."""
    (guests,) = OURS.from_payloads(BASE.to_payloads([{"names": ["a", "b"]}]), [Guests])

    assert [list(guests.names), list(guests.names)] == [["a", "b"], ["a", "b"]]


def test_an_invalid_item_of_an_iterable_is_refused_without_its_value() -> None:
    """When the payload is read, and not later in the code of the workflow."""
    with pytest.raises(ValidationError, match="valid integer") as refused:
        OURS.from_payloads(BASE.to_payloads([["4111"[:3], "hunter2"]]), [Iterable[int]])

    assert "hunter2" not in str(refused.value)


def test_an_unreadable_type_is_named() -> None:
    """The error leads to the declaration of the type."""
    expected = "a payload cannot be read as Opaque: PydanticSchemaGenerationError"
    with pytest.raises(ApplicationError, match=expected):
        OURS.from_payloads(BASE.to_payloads([{}]), [Opaque])
