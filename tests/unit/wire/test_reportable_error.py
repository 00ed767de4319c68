"""Errors of any code become reports: short, readable, and without rejected values."""

from typing import Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError, CancelledError, FailureError

from sagas import invalid_fields
from sagas._temporal.failure_converter import EncodedSagaFailureConverter, SagaFailureConverter
from sagas._temporal.payload_converter import SagaPayloadConverter
from sagas._validation import without_values
from sagas._wire.error_text import error_text, text_of
from sagas._wire.failures import trimmed_cause
from sagas._wire.reportable_error import LONGEST_CHAIN, MOST_FRAMES, reportable

CARD = "4111-1111-1111-1111"


class Cat(BaseModel):
    kind: str = Field(pattern="cat")
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]


class Bird(BaseModel):
    kind: Literal["bird"]


class Owner(BaseModel):
    pet: Dog | Bird = Field(discriminator="kind")


def failed_validation() -> ValidationError:
    """A validation with two broken rules."""
    with pytest.raises(ValidationError) as failed:
        Cat.model_validate({"kind": CARD, "lives": CARD})
    return failed.value


def to_failure(error: BaseException) -> Failure:
    """The failure that the converter writes."""
    failure = Failure()
    SagaFailureConverter().to_failure(error, SagaPayloadConverter(), failure)
    return failure


def depth(failure: Failure) -> int:
    """The number of failures in a chain."""
    return 1 + (depth(failure.cause) if failure.HasField("cause") else 0)


def test_failed_validation_keeps_fields_rules_and_types() -> None:
    """A copy without values has the same title, and an equal reading."""
    original = failed_validation()

    copy = without_values(original)

    assert CARD in str(original)
    assert CARD not in str(copy)
    assert (copy.title, copy.error_count()) == ("Cat", 2)
    assert invalid_fields(copy) == invalid_fields(original)
    assert str(without_values(copy)) == str(copy)


def test_tag_of_a_union_is_not_quoted() -> None:
    """Pydantic quotes the tag in the rule itself."""
    with pytest.raises(ValidationError) as failed:
        Owner.model_validate({"pet": {"kind": CARD}})

    assert CARD in str(failed.value)
    assert CARD not in error_text(failed.value)
    assert "'dog', 'bird'" in error_text(failed.value)


def test_braces_in_the_rule_of_a_user_are_no_placeholders() -> None:
    """A validator of a user may raise an error with any text."""
    text = "{a} and {"

    class Odd(BaseModel):
        lives: int

        @field_validator("lives")
        @classmethod
        def _refuse(cls, _: int) -> int:
            raise ValueError(text)

    with pytest.raises(ValidationError) as failed:
        Odd.model_validate({"lives": 1})

    assert text in error_text(failed.value)


def test_error_that_can_be_reported_stays_the_same_object() -> None:
    """The report of an ordinary error costs no copy."""
    error = ValueError("plain")
    error.__cause__ = ApplicationError("cause", 7, type="Cause")

    assert reportable(error) is error


@pytest.mark.parametrize("length", [LONGEST_CHAIN, LONGEST_CHAIN + 1, 700])
def test_chain_of_causes_is_cut(length: int) -> None:
    """Protobuf cannot read a failure that is nested more than 100 deep."""
    error = ValueError("0")
    for number in range(1, length):
        cause, error = error, ValueError(str(number))
        error.__cause__ = cause

    failure = to_failure(error)

    assert depth(failure) == LONGEST_CHAIN
    assert (failure.message, failure.application_failure_info.type) == (str(length - 1), "ValueError")


def test_received_failure_is_cut() -> None:
    """A received failure contains the causes of the error."""
    received = Failure(message="0")
    for number in range(1, 60):
        received = Failure(message=str(number), cause=received)
    outer = ValueError("outer")
    outer.__cause__ = FailureError("59", failure=received)

    failure = to_failure(outer)

    assert depth(failure) == LONGEST_CHAIN
    assert (failure.cause.message, failure.cause.cause.message) == ("59", "58")
    assert depth(received) == 60


def test_repeated_error_ends_the_chain() -> None:
    """A cycle of causes is written once."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one

    failure = to_failure(one)

    assert depth(failure) == 2


def test_long_traceback_is_cut() -> None:
    """The first frames show the entry into the recursion."""

    def recur(left: int) -> None:
        if left == 0:
            raise ValueError("deep")
        recur(left - 1)

    with pytest.raises(ValueError, match="deep") as failed:
        recur(MOST_FRAMES + 10)

    copy = reportable(failed.value)

    count, frame = 0, copy.__traceback__
    while frame is not None:
        count, frame = count + 1, frame.tb_next
    assert (count, str(copy)) == (MOST_FRAMES, "ValueError: deep")


def test_details_that_cannot_be_sent_are_left_out_of_their_own_error() -> None:
    """The details of the other errors in the chain are kept."""
    error = ApplicationError("outer", "kept", type="Outer", non_retryable=True)
    error.__cause__ = ApplicationError("inner", object(), type="Inner")

    failure = to_failure(error)

    assert failure.application_failure_info.details.payloads[0].data == b'"kept"'
    assert failure.application_failure_info.non_retryable
    assert failure.cause.application_failure_info.type == "Inner"
    assert not failure.cause.application_failure_info.details.payloads


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CancelledError("\ud800", 1), "?"),
        (ApplicationError("\ud800", type="\ud800"), "?"),
        (FailureError("\ud800"), "?"),
        (KeyError("\ud800"), "'\\ud800'"),
        (ValueError("\ud800"), "?"),
    ],
)
def test_text_of_every_kind_of_error_is_valid(error: BaseException, text: str) -> None:
    """A lone surrogate becomes a question mark."""
    assert to_failure(error).message == text


def test_cancelled_error_stays_a_cancelled_error() -> None:
    """The server treats a cancelled activity in another way than a failed activity."""
    failure = to_failure(CancelledError("\ud800", 1))

    assert failure.WhichOneof("failure_info") == "canceled_failure_info"
    assert failure.canceled_failure_info.details.payloads[0].data == b"1"


def test_error_without_the_constructor_of_temporal_is_reported() -> None:
    """The attributes of Temporal are missing."""

    class HalfMadeError(ApplicationError):
        def __init__(self) -> None:
            """Does not call the constructor of the base class."""

    assert to_failure(HalfMadeError()).application_failure_info.type == "HalfMadeError"


def test_unreadable_details_are_left_out() -> None:
    """The message and the type remain readable."""
    failure = to_failure(ApplicationError("outer", type="Outer"))
    inner = to_failure(ApplicationError("inner", "x", type="Inner"))
    inner.application_failure_info.details.payloads[0].data = b"{"
    failure.cause.CopyFrom(inner)

    read = SagaFailureConverter().from_failure(failure, SagaPayloadConverter())

    assert isinstance(read.__cause__, ApplicationError)
    assert (read.__cause__.type, list(read.__cause__.details)) == ("Inner", [])
    assert inner.application_failure_info.details.payloads


def test_encoded_failure_has_no_text_in_clear() -> None:
    """The message goes through the payload codec."""
    failure = Failure()

    EncodedSagaFailureConverter().to_failure(ValueError("secret\ud800"), SagaPayloadConverter(), failure)

    assert failure.message == "Encoded failure"
    assert b"secret?" in failure.encoded_attributes.data


def test_text_of_a_value_without_a_readable_text_names_the_type() -> None:
    """The `__str__` of foreign code may raise anything."""

    class Mute:
        def __str__(self) -> str:
            raise RuntimeError

    assert text_of(Mute()) == "Mute without a readable text"


def test_received_failure_that_causes_itself_has_a_finite_size() -> None:
    """A workflow may raise a received error from itself."""
    error = FailureError("from itself", failure=Failure(message="from itself"))
    error.__cause__ = error

    assert trimmed_cause(error) is error
