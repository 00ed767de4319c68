"""What a saga sends and reads: the short way through the converter says the same as the long one."""

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
def test_it_writes_and_reads_as_its_base_does(value: Any, kind: Any) -> None:
    """The short way is short, and not another one."""
    payloads = OURS.to_payloads([value])

    assert payloads == BASE.to_payloads([value])
    assert OURS.from_payloads(payloads, [kind]) == BASE.from_payloads(payloads, [kind]) == [value]


def test_a_rule_that_stands_beside_a_model_is_kept() -> None:
    """`Annotated` looks like the model that it is about, and is more than that."""
    payloads = BASE.to_payloads([Seat(row=8)])

    with pytest.raises(ValidationError, match="only row 7 is free"):
        OURS.from_payloads(payloads, [Annotated[Seat, AfterValidator(only_seven)]])  # type: ignore[list-item]


def test_whatever_a_model_raises_is_the_fault_of_who_sent_it() -> None:
    """Any other error would be taken for a bug of the workflow, and tried again for ever."""
    payloads = BASE.to_payloads([{"row": 99}])

    with pytest.raises(ApplicationError, match="a payload cannot be read: KeyError") as refused:
        OURS.from_payloads(payloads, [Seat])

    assert refused.value.non_retryable


@pytest.mark.parametrize("result", [Seat, object, Annotated[int, {"unit": "cents"}]], ids=str)
def test_a_child_may_return_whatever_has_a_type(result: Any) -> None:
    """Also what no cache can keep."""
    assert "result" in child_result_type(result).model_fields
