"""The ledger of a saga with a pivot against the oracle: at every place, and between groups."""

from collections.abc import Iterator

import pytest

from .oracle import Kind
from .pivot_enumeration import groups_round_a_pivot, round_a_pivot
from .saga_enumeration import PLAIN, Branch, Ending, Scene, check, in_turn, opening
from .test_ledger import BEST_EFFORT, CHILD, CLOSED, FIVE, OF_THE_PIVOT, PIVOT, STEP, THREE


def test_nothing_crosses_the_pivot_backwards() -> None:
    """P6: wherever it stands among six, however it ends, and however each of the others ends."""
    # Others follow one that is done or refused; one that is withdrawn is looked at before the turn and after.
    sagas = [5**before * (2 * sum(5**n for n in range(6 - before)) + 3) for before in range(6)]

    asked = sum(map(check, round_a_pivot(opening(), {STEP: FIVE}, OF_THE_PIVOT, 6)))

    assert asked == 4 * sum(sagas) == 226_560


def test_a_pivot_that_did_not_happen_may_be_followed_by_another() -> None:
    """P6: as many as one likes among four parts, as the workflow may try its luck elsewhere."""
    assert sum(map(check, in_turn(opening(), {STEP: FIVE, PIVOT: OF_THE_PIVOT}, 4))) == 16_844


@pytest.mark.parametrize(
    ("before", "after", "endings", "cases"),
    [
        (((STEP, STEP), (STEP,)), ((STEP,),), {STEP: THREE}, 34_020),
        (((STEP,), (STEP,), (STEP,)), (), {STEP: THREE[:2]}, 17_280),
        (((STEP, STEP), (STEP, STEP)), (), {STEP: THREE[:2]}, 26_880),
        (((STEP,), (STEP,)), ((STEP,), (STEP,)), {STEP: THREE[:2]}, 18_240),
        (
            ((CHILD,), (STEP, BEST_EFFORT)),
            ((STEP,),),
            {STEP: THREE[:2], BEST_EFFORT: THREE[:2], CHILD: (CLOSED, *THREE[1:])},
            12_240,
        ),
    ],
    ids=["two and one", "three", "two and two", "groups on both sides", "a child beside two"],
)
def test_nothing_of_a_group_crosses_the_pivot_backwards(
    before: tuple[Branch, ...], after: tuple[Branch, ...], endings: dict[Kind, tuple[Ending, ...]], cases: int
) -> None:
    """P5 and P6: in whatever order the branches before it and after it have started and ended."""
    assert sum(map(check, groups_round_a_pivot(opening(), before, OF_THE_PIVOT, after, endings))) == cases


def test_nothing_of_a_step_a_group_and_a_pivot_is_taken_for_another() -> None:
    """P5 and P6: one after the other, each with everything that can become of it."""

    def scenes() -> Iterator[Scene]:
        for ending in PLAIN:
            begun = opening().start("seat", STEP).end("seat", ending)
            pair: tuple[Branch, ...] = ((STEP,), (STEP,))
            yield from groups_round_a_pivot(begun, pair, OF_THE_PIVOT, ((STEP,),), {STEP: PLAIN})

    assert sum(map(check, scenes())) == 38_400
