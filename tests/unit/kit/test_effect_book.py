"""The book of effects keeps the rules of a correct participant, in every order of requests."""

from itertools import product

import pytest

from sagas import RejectedError
from sagas.testing import EffectState
from sagas.testing._participants.effect_book import EffectBook


@pytest.mark.parametrize(
    "requests", [each for n in range(1, 6) for each in product("ac", repeat=n)], ids="".join
)
def test_every_order_of_actions_and_compensations(requests: tuple[str, ...]) -> None:
    """Applied once; compensated when an action came first, else voided; an action after it is rejected."""
    book = EffectBook()
    for number, request in enumerate(requests):
        if request == "c":
            book.compensate("k")
        elif "c" in requests[:number]:
            with pytest.raises(RejectedError, match="was compensated"):
                book.apply("k", number)
        else:
            assert book.apply("k", number) == 0

    states = dict(book)
    expected = EffectState.APPLIED
    if "c" in requests:
        expected = EffectState.COMPENSATED if requests[0] == "a" else EffectState.VOIDED
    assert states["k"].state is expected


def test_void_keeps_an_effect() -> None:
    """Only a key without an effect is voided."""
    book = EffectBook()
    book.apply("k", "answer")
    book.void("k")
    book.void("other")

    assert {key: effect.state for key, effect in book} == {"k": "applied", "other": "voided"}
