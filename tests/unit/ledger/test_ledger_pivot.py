"""The ledger agrees with the oracle in all states of sagas with a pivot."""

from collections.abc import Iterator

import pytest

from .oracle import StepKind
from .pivot_enumeration import states_around_pivot, states_of_branches_around_pivot
from .saga_enumeration import (
    CLOSED_ENDINGS,
    Branch,
    CheckedState,
    Ending,
    check,
    initial_state,
    sequential_states,
)
from .test_ledger import (
    ALL_ENDINGS,
    BEST_EFFORT,
    CHILD,
    CLOSED_CHILD,
    PIVOT,
    PIVOT_ENDINGS,
    REPORTED_ENDINGS,
    STEP,
)


def test_nothing_crosses_the_pivot_backwards() -> None:
    """P6: for every place of the pivot among six steps, every ending of the pivot and of the other steps."""
    # Steps follow a done and a rejected pivot; a withdrawn pivot adds the state after compensating starts.
    sagas = [5**before * (2 * sum(5**n for n in range(6 - before)) + 3) for before in range(6)]

    compared = sum(map(check, states_around_pivot(initial_state(), {STEP: ALL_ENDINGS}, PIVOT_ENDINGS, 6)))

    assert compared == 4 * sum(sagas) == 226_560


def test_a_rejected_pivot_may_be_followed_by_another_pivot() -> None:
    """P6: any number of pivots among four steps."""
    assert (
        sum(map(check, sequential_states(initial_state(), {STEP: ALL_ENDINGS, PIVOT: PIVOT_ENDINGS}, 4)))
        == 16_844
    )


@pytest.mark.parametrize(
    ("before", "after", "endings", "cases"),
    [
        (((STEP, STEP), (STEP,)), ((STEP,),), {STEP: REPORTED_ENDINGS}, 34_020),
        (((STEP,), (STEP,), (STEP,)), (), {STEP: REPORTED_ENDINGS[:2]}, 17_280),
        (((STEP, STEP), (STEP, STEP)), (), {STEP: REPORTED_ENDINGS[:2]}, 26_880),
        (((STEP,), (STEP,)), ((STEP,), (STEP,)), {STEP: REPORTED_ENDINGS[:2]}, 18_240),
        (
            ((CHILD,), (STEP, BEST_EFFORT)),
            ((STEP,),),
            {
                STEP: REPORTED_ENDINGS[:2],
                BEST_EFFORT: REPORTED_ENDINGS[:2],
                CHILD: (CLOSED_CHILD, *REPORTED_ENDINGS[1:]),
            },
            12_240,
        ),
    ],
    ids=["two and one", "three", "two and two", "groups on both sides", "a child beside two"],
)
def test_no_branch_crosses_the_pivot_backwards(
    before: tuple[Branch, ...],
    after: tuple[Branch, ...],
    endings: dict[StepKind, tuple[Ending, ...]],
    cases: int,
) -> None:
    """P5 and P6: for every order of starts and ends of the branches before and after the pivot."""
    assert (
        sum(
            map(
                check, states_of_branches_around_pivot(initial_state(), before, PIVOT_ENDINGS, after, endings)
            )
        )
        == cases
    )


def test_a_step_before_branches_and_a_pivot_is_planned_as_promised() -> None:
    """P5 and P6: a step, two branches, a pivot and a step, each with every ending."""

    def states() -> Iterator[CheckedState]:
        for ending in CLOSED_ENDINGS:
            started = initial_state().start("seat", STEP).end("seat", ending)
            pair: tuple[Branch, ...] = ((STEP,), (STEP,))
            yield from states_of_branches_around_pivot(
                started, pair, PIVOT_ENDINGS, ((STEP,),), {STEP: CLOSED_ENDINGS}
            )

    assert sum(map(check, states())) == 38_400
