"""The payload converter of sagas: the shortcut for models writes and reads the same as the base converter."""

from enum import StrEnum
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, ValidationError, field_validator
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.exceptions import ApplicationError

from sagas._temporal.payload_converter import SagaPayloadConverter
from sagas._wire.child_saga import child_result_type

OURS, BASE = SagaPayloadConverter(), PydanticPayloadConverter()


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

    with pytest.raises(ApplicationError, match="a payload cannot be read: KeyError") as refused:
        OURS.from_payloads(payloads, [Seat])

    assert refused.value.non_retryable


@pytest.mark.parametrize("result", [Seat, object, Annotated[int, {"unit": "cents"}]], ids=str)
def test_a_child_may_return_any_type(result: Any) -> None:
    """Unhashable types work as well, without a cache."""
    assert "result" in child_result_type(result).model_fields
