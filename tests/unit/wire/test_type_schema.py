"""Properties of types: secrets that JSON replaces by asterisks, and lazy iterables."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import pytest
from pydantic import BaseModel, Secret, SecretBytes, SecretStr, field_serializer
from typing_extensions import TypedDict

from sagas import DefinitionError, Operation
from sagas._declarations.type_schema import has_lazy_iterables, masked_field


class Card(BaseModel):
    number: SecretStr | None = None


class Wallet(BaseModel):
    cards: dict[str, list[Card]]


class Keys(TypedDict):
    key: SecretBytes


@dataclass
class Pin:
    pin: Secret[int]


class Shown(BaseModel):
    number: SecretStr

    @field_serializer("number", when_used="json")
    def _reveal(self, number: SecretStr) -> str:
        return number.get_secret_value()


class Node(BaseModel):
    name: str
    children: "list[Node]" = []


class Awkward(BaseModel):
    type: str
    config: SecretStr


class Foreign:
    """A type unknown to pydantic."""


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (Card, "number"),
        (Wallet, "number"),
        (Keys, "key"),
        (Pin, "pin"),
        (list[SecretStr], "list"),
        (SecretStr, "SecretStr"),
        (Awkward, "config"),
        (Annotated[Card, {"unit": "none"}], "number"),
        (Annotated[int, {"unit": "cents"}], None),
        (Shown, None),
        (Node, None),
        (Foreign, None),
        (str, None),
        (dict[str, int], None),
    ],
    ids=str,
)
def test_a_masked_secret_is_found_at_any_depth(kind: object, field: str | None) -> None:
    """A field with a serializer of its own is not masked."""
    assert masked_field(kind) == field


class Lazy(BaseModel):
    names: list[Iterable[str]]


@pytest.mark.parametrize(
    ("kind", "is_lazy"),
    [
        (Iterable[str], True),
        (Lazy, True),
        (dict[str, Lazy] | None, True),
        (Annotated[Lazy, {"unit": "none"}], True),
        (list[str], False),
        (Node, False),
        (Foreign, False),
    ],
    ids=str,
)
def test_a_lazy_iterable_is_found_at_any_depth(kind: object, *, is_lazy: bool) -> None:
    """Pydantic reads an `Iterable` item by item."""
    assert has_lazy_iterables(kind) is is_lazy


@pytest.mark.parametrize(("message", "result"), [(Card, Node), (Node, Card)])
def test_an_operation_with_a_masked_secret_is_refused(message: type[object], result: type[object]) -> None:
    """Over HTTP and in events the participant would get asterisks."""
    with pytest.raises(
        DefinitionError, match="'pay': JSON replaces the secret 'number' of Card by asterisks"
    ):
        Operation(name="pay", participant="bank", message=message, result=result)
