"""Samples are valid values of result types, and a type without a sample is named."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter

from sagas.testing._participants.samples import NoSampleError, sample_of


class Colour(Enum):
    RED = "red"


class Money(BaseModel):
    amount: Annotated[int, Field(ge=5)]
    currency: Annotated[str, StringConstraints(min_length=3, max_length=3)]


@dataclass
class Parcel:
    number: str
    tags: list[str] = field(default_factory=list)


class Everything(BaseModel):
    name: str
    count: Annotated[int, Field(gt=7)]
    price: Decimal
    colour: Colour
    kind: Literal["a", "b"]
    at: datetime
    wait: timedelta
    key: UUID
    money: Money
    parcel: Parcel
    notes: str | None
    pair: tuple[int, str]
    rest: tuple[int, ...]
    table: dict[str, int]
    long: Annotated[str, StringConstraints(min_length=20)]
    other: Any = None
    alias: str = Field(validation_alias="theAlias")


@pytest.mark.parametrize(
    "kind",
    [Everything, Money, Parcel, None, int, str, bool, object, Any, list[int], str | None, Colour],
    ids=str,
)
def test_sample_is_valid(kind: Any) -> None:
    """Pydantic accepts the sample."""
    sample = sample_of(kind)

    assert TypeAdapter(kind).validate_python(sample) == sample


def test_texts_are_named_by_their_field() -> None:
    """A reader of a timeline recognizes the sample."""
    sample = sample_of(Everything)

    assert isinstance(sample, Everything)
    assert (sample.name, sample.count, sample.money) == ("name-1", 8, Money(amount=5, currency="cur"))


class Code(BaseModel):
    code: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]


class Unknown:
    pass


@pytest.mark.parametrize(
    ("kind", "problem"),
    [(Code, "the sample of Code breaks a rule"), (Unknown, "there is no sample of")],
    ids=str,
)
def test_type_without_a_sample_is_named(kind: type, problem: str) -> None:
    """The kit does not guess."""
    with pytest.raises(NoSampleError, match=problem):
        sample_of(kind)
