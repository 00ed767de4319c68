"""The ledger agrees with the oracle on sections, compensated units and forgotten steps."""

from collections.abc import Iterator

import pytest

from sagas import CompensationOrder
from sagas._core.ledger import Ledger

from .oracle import Path, StepKind
from .saga_enumeration import (
    DONE,
    REJECTED,
    STILL_OPEN,
    UNKNOWN,
    CheckedState,
    Ending,
    check,
    check_units,
    initial_state,
    partly_compensated,
    sectioned_states,
)

REVERSE, PARALLEL = CompensationOrder.REVERSE, CompensationOrder.PARALLEL
MAPLE: Path = (("maple", REVERSE),)
OAK: Path = (("oak", PARALLEL),)
INNER: Path = (("maple", REVERSE), ("inner", PARALLEL))
ENDINGS: tuple[Ending, ...] = ((DONE, ()), (REJECTED, ()), (UNKNOWN, ()), STILL_OPEN)


def test_a_section_is_one_unit_of_the_plan() -> None:
    """P5: for all ways to put up to four steps in no section, in two sections, and in a nested section."""
    paths = ((), MAPLE, OAK, INNER)

    states = list(sectioned_states(initial_state(), paths, ENDINGS[:1], 4))

    assert sum(map(check, states)) == 4 * sum(4**n for n in range(5))
    assert sum(map(check_units, states)) == 8_008


def test_the_steps_of_a_section_are_compensated_by_their_outcome() -> None:
    """P4: for all endings of up to three steps, each outside or inside of sections."""
    states = list(sectioned_states(initial_state(), ((), MAPLE, INNER), ENDINGS, 3))

    assert sum(map(check, states)) == 4 * sum(12**n for n in range(4))
    assert sum(map(check_units, states)) == 34_336


def test_a_compensated_unit_is_struck_from_the_plan() -> None:
    """P2: for every subset of done compensations of up to three steps; no compensated step is in doubt."""

    def states() -> Iterator[CheckedState]:
        for state in sectioned_states(initial_state(), ((), OAK, INNER), (ENDINGS[0], ENDINGS[2]), 3):
            yield from partly_compensated(state)

    found = list(states())

    assert sum(map(check, found)) == 4 * sum((3 * 2) ** n * 2**n for n in range(4))
    assert sum(map(check_units, found)) == 37_536


def test_a_forgotten_step_is_in_no_plan() -> None:
    """P2: wherever the step stands, the other steps keep their order."""
    for state in sectioned_states(initial_state(), ((), MAPLE, INNER), ENDINGS[:1], 3):
        for step in state.saga.steps:
            forgotten = state.forget(step.address)
            check(forgotten)
            check_units(forgotten)


def test_a_lost_alternative_is_compensated_past_the_pivot() -> None:
    """P6: every other step stays; a lost step is in no doubt at the pivot."""
    paths, endings = ((), MAPLE, OAK, INNER), (ENDINGS[0], ENDINGS[2], STILL_OPEN)
    for state in sectioned_states(initial_state(), paths, endings, 2):
        for section in ("maple", "oak", "inner"):
            lost = state.lose(section)
            check(lost)
            check_units(lost)
            check(lost.pass_pivot())


def test_the_plan_of_an_unknown_unit_is_empty() -> None:
    """A section without steps has nothing to compensate."""
    assert Ledger().plan_of("maple") == ()


@pytest.mark.parametrize("section", ["maple", "inner"])
def test_the_members_of_a_section_include_inner_sections(section: str) -> None:
    """In the order of their start."""
    state = initial_state()
    for name, path in (("seat", MAPLE), ("card", INNER), ("mail", OAK), ("bike", ())):
        state = state.start(name, StepKind.STEP, path)

    members = [entry.address for entry in state.ledgers[0].members(section)]

    assert members == (["seat", "card"] if section == "maple" else ["card"])
