"""Step keys: the texts that tell the executions of one step apart, in addresses and idempotency keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities._key_header import key_to_header
from sagas import DefinitionError, idempotency_key
from sagas._core.ids import COMPENSATE, address_of, in_parent, key_of, keyed
from sagas._core.ledger import Ledger
from sagas._declarations.names import NAME, STEP_KEY, check_step_key
from sagas._execution.retry_loop import summary_of
from sagas._workflow.call_arguments import items_of, keys_of_items
from tests.temporal.fixtures.trip_saga import STEPS

FLIGHT = STEPS["flight"]


@pytest.mark.parametrize("good", ["a", "7", "partition-7", "2027-01", "A_b.c-1", "x" * 64])
def test_plain_step_keys_are_valid(good: str) -> None:
    """Letters, digits and three signs are valid."""
    check_step_key("reserve-seat", good)


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ("", "not 0 characters"),
        ("x" * 65, "not 65 characters"),
        ("a b", "3 characters with ' '"),
        ("a]#2", "4 characters with ']'"),
        ("a:b", "with ':'"),
        ("a/b", "with '/'"),
        ("ada@example.com", "15 characters with '@'"),
        ("ä", "with 'ä'"),
        ("a\n", r"with '\\n'"),
        ("-a", "2 characters"),
        (7, "not an object of type int"),
        (None, "of type NoneType"),
    ],
)
def test_other_step_keys_are_refused_without_quoting_the_key(bad: object, fault: str) -> None:
    """A key may be personal data, and errors are stored unencrypted."""
    with pytest.raises(DefinitionError, match=fault) as refused:
        check_step_key("reserve-seat", bad)

    assert "reserve-seat" in str(refused.value)
    assert "ada" not in str(refused.value)


keys = st.from_regex(STEP_KEY, fullmatch=True)


@given(key=keys, child=st.sampled_from(["", "leg", "leg/inner"]))
def test_the_key_is_found_in_every_address_of_the_step(key: str, child: str) -> None:
    """In the first and the second execution, in a child, and in the id of the compensation."""
    ledger = Ledger()
    name = keyed("reserve-seat", key)
    for address in (ledger.next_address(name), ledger.next_address(name)):
        seen = in_parent(child, address) if child else address
        assert key_of(seen) == key
        assert address_of(f"{COMPENSATE}{seen}") == seen


@given(one=st.tuples(keys, st.integers(1, 3)), two=st.tuples(keys, st.integers(1, 3)))
def test_two_executions_never_share_an_idempotency_key(one: tuple[str, int], two: tuple[str, int]) -> None:
    """Neither with another step key, nor in another repetition, nor without a step key."""
    ledger = Ledger()
    plain = {ledger.next_address("reserve-seat") for _ in range(3)}
    numbered = {
        (key, number): ledger.next_address(keyed("reserve-seat", key))
        for key in dict.fromkeys((one[0], two[0]))
        for number in (1, 2, 3)
    }

    assert (numbered[one] == numbered[two]) == (one == two)
    assert plain.isdisjoint(numbered.values())


def test_a_usual_idempotency_key_with_a_step_key_is_sent_unchanged() -> None:
    """A UUID as saga id and the longest step key fit into the 200 characters of an HTTP header."""
    key = idempotency_key("order-" + "0" * 36, f"payment:reserve-seat[{'x' * 64}]#2")

    assert key_to_header(key) == key


def test_a_summary_names_the_key() -> None:
    """The words of the step, and the key as written."""
    assert summary_of("reserve-seat", "reserve-seat[partition-7]#2") == "reserve seat [partition-7]"
    assert summary_of("reserve-seat", "reserve-seat#2") == "reserve seat"


def test_two_items_with_the_same_key_are_refused() -> None:
    """The second step would have the address `#2`, and a swap of the items would swap the effects."""
    with pytest.raises(DefinitionError, match="items 0 and 2 of step 'book-flight' have the same key 'a'"):
        keys_of_items(FLIGHT, ["a", "b", "a"], str)


def test_items_have_an_order() -> None:
    """The order of a set differs between two workers; dicts and generators have an order."""
    for items in ({"a"}, frozenset({"a"})):
        with pytest.raises(DefinitionError, match="give a list, not a set"):
            items_of(FLIGHT, items)
    assert items_of(FLIGHT, {"b": 1, "a": 2}) == ("b", "a")
    assert items_of(FLIGHT, (each for each in "ba")) == ("b", "a")


def test_names_of_steps_have_no_brackets() -> None:
    """No step is called like a keyed step."""
    assert not NAME.fullmatch(keyed("reserve-seat", "7a"))
