"""Ids and keys: a step has a single key, shared by the compensation wherever the compensation runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas import StartError, idempotency_key
from sagas._core.ids import COMPENSATE, PROBE, RESCUE, check_saga_id, child_id, in_parent, rescue_id
from sagas._declarations.names import NAME

names = st.from_regex(
    r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4}){0,2}(\[[A-Za-z0-9][A-Za-z0-9_.-]{0,6}\])?(#[2-9])?", fullmatch=True
)
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,10}", fullmatch=True)


@given(root=ids, path=st.lists(names, max_size=4), step=names)
def test_key_is_the_same_from_every_saga_that_may_compensate(root: str, path: list[str], step: str) -> None:
    """The child acts or probes; the child, the parent, the root or a rescue compensates."""
    workflow_ids = [root]
    for child in path:
        workflow_ids.append(child_id(workflow_ids[-1], child))
    key = idempotency_key(workflow_ids[-1], step)

    address = step
    for level in range(len(path), -1, -1):
        for saga in (workflow_ids[level], f"{workflow_ids[level]}{RESCUE}"):
            assert idempotency_key(saga, address) == key
            assert idempotency_key(saga, f"{COMPENSATE}{address}") == key
            assert idempotency_key(saga, f"{PROBE}{address}") == key
        if level:
            address = in_parent(path[level - 1], address)


places = st.tuples(st.lists(names, max_size=2), names)


@given(root=ids, one=places, two=places)
def test_two_steps_never_share_a_key(
    root: str, one: tuple[list[str], str], two: tuple[list[str], str]
) -> None:
    """Different places in a family of sagas have different keys."""
    keys = [idempotency_key("/".join([root, *path]), step) for path, step in (one, two)]

    assert (keys[0] == keys[1]) == (one == two)


@pytest.mark.parametrize("good", ["a", "7", "order-7", "A_b.c-1", "x" * 200])
def test_plain_saga_ids_are_valid(good: str) -> None:
    """Letters, digits, and three signs are valid."""
    check_saga_id(good)


@pytest.mark.parametrize(
    "bad",
    ["", "-a", ".a", "a/b", "a:b", "a b", "a\n", "ä", "x" * 201, "a#2", "../a", "%2f", "a\x00", "a~rescue"],
)
def test_other_saga_ids_are_refused(bad: str) -> None:
    """Other ids would not survive a log line, a URL, or the `/` between parent and child."""
    with pytest.raises(StartError, match="1 to 200 letters"):
        check_saga_id(bad)


def test_actions_probes_and_compensations_share_no_id() -> None:
    """Prefixes have a dot, and names of steps have none."""
    ids = [f"{prefix}{step}" for prefix in ("", COMPENSATE, PROBE) for step in ("compensate", "probe", "pay")]

    assert len(set(ids)) == 9
    assert len({idempotency_key("order-7", one) for one in ids}) == 3
    assert not any(NAME.fullmatch(f"{prefix}pay") for prefix in (COMPENSATE, PROBE))


def test_only_the_suffix_of_a_rescue_is_removed() -> None:
    """No id of a saga has a tilde elsewhere, and foreign ids stay unchanged."""
    assert idempotency_key("order~rescue-x", "pay") == "order~rescue-x:pay"
    assert idempotency_key("order~rescue-7/leg", "pay") == "order~rescue-7/leg:pay"
    assert idempotency_key(f"order-7/payment{RESCUE}", "pay") == "order-7/payment:pay"


def test_every_rescue_has_the_keys_of_its_saga() -> None:
    """A reset and interrupted saga can have several rescues."""
    for number in (1, 2, 13):
        assert idempotency_key(rescue_id("order-7", number), "compensate.pay") == "order-7:pay"
