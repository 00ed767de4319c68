"""The ledger against an oracle that was written from the promises, over everything that can happen.

Each test walks through all sagas of a kind, and compares every moment of them under both scopes and both
orders of compensation. How many ledgers were asked is part of the test: an empty walk proves nothing.
"""

from collections.abc import Iterator

import pytest

from sagas import ActivityPolicy, CompensationOrder, CompensationScope
from sagas._core.compensation import ParallelCompensations, PendingCompensation, flatten
from sagas._core.ledger import Ledger
from sagas._core.outcome import Outcome

from .oracle import Kind, Shape
from .saga_enumeration import (
    DONE,
    PLAIN,
    REJECTED,
    UNDER_WAY,
    UNKNOWN,
    WITHDRAWN,
    Branch,
    Ending,
    Scene,
    check,
    in_turn,
    interleaved,
    opening,
    partly_made_up,
    shapes,
)

STEP, BARE, BEST_EFFORT, CHILD, PIVOT = Kind.STEP, Kind.BARE, Kind.BEST_EFFORT, Kind.CHILD, Kind.PIVOT
FIVE: tuple[Ending, ...] = (*PLAIN, UNDER_WAY)
THREE: tuple[Ending, ...] = ((DONE, ()), (REJECTED, ()), (UNKNOWN, ()))
OF_THE_PIVOT: tuple[Ending, ...] = ((DONE, ()), (REJECTED, ()), (WITHDRAWN, ()), UNDER_WAY)


def of_a_child(*most: str) -> tuple[Ending, ...]:
    """Closed with any of the first of these effects, in every shape; failed, lost, or under way."""
    owed: list[Shape] = [shape for count in range(len(most) + 1) for shape in shapes(most[:count])]
    return (*((DONE, shape) for shape in owed), (REJECTED, ()), (UNKNOWN, ()), UNDER_WAY)


CLOSED: Ending = (DONE, ("a", ["b", "c"]))


def compensation(address: str, *, takes_result: bool = False) -> PendingCompensation:
    arguments = ("m", None) if takes_result else ("m",)
    return PendingCompensation(
        address=address, activity=f"compensate-{address}", arguments=arguments, takes_result=takes_result
    )


def test_what_may_have_happened_is_owed_newest_first() -> None:
    """P4 and P5: neither less nor more, for every way in which up to six steps can end."""
    assert sum(map(check, in_turn(opening(), {STEP: FIVE}, 6))) == 4 * sum(5**n for n in range(7))


def test_every_kind_of_step_and_child_follows_every_other() -> None:
    """Steps with and without a compensation, best efforts, and children that owe up to two effects."""
    kinds = {STEP: FIVE, BARE: THREE, BEST_EFFORT: (*THREE, UNDER_WAY), CHILD: of_a_child("b", "a")}

    assert sum(map(check, in_turn(opening(), kinds, 3))) == 4 * sum(19**n for n in range(4))


def test_every_pair_of_everything_that_a_saga_can_do() -> None:
    """With children that owe up to three effects in every shape, and the pivot before and after them."""
    kinds = {STEP: FIVE, BARE: FIVE, BEST_EFFORT: FIVE, CHILD: of_a_child("c", "b", "a"), PIVOT: OF_THE_PIVOT}

    assert sum(map(check, in_turn(opening(), kinds, 2))) == 4_084


@pytest.mark.parametrize(
    ("branches", "endings", "cases"),
    [
        (((STEP, STEP), (STEP,)), {STEP: PLAIN}, 18_152),
        (((STEP,), (STEP,), (STEP,)), {STEP: (THREE[0], THREE[2])}, 19_064),
        (((STEP, STEP), (STEP, STEP)), {STEP: THREE[:2]}, 27_832),
        (
            ((STEP, BEST_EFFORT), (CHILD,)),
            {STEP: THREE, BEST_EFFORT: THREE, CHILD: (CLOSED, *THREE[1:])},
            8_416,
        ),
        (((CHILD,), (CHILD,), (STEP,)), {STEP: THREE[:2], CHILD: (CLOSED, THREE[1])}, 19_064),
    ],
    ids=["two and one", "three", "two and two", "a child beside two", "two children and one"],
)
def test_in_branches_the_order_of_the_starts_counts(
    branches: tuple[Branch, ...], endings: dict[Kind, tuple[Ending, ...]], cases: int
) -> None:
    """P5: in every order of starts and ends, and when the saga turns round in the middle of it.

    What ends after the turn is owed as it ended; nothing starts any more.
    """
    assert sum(map(check, interleaved(opening(), branches, endings))) == cases


def test_what_is_made_up_for_is_owed_no_more_and_the_rest_still_is() -> None:
    """P2 and P7: whichever compensations of up to four steps are through, in whatever order."""

    def scenes() -> Iterator[Scene]:
        for scene in in_turn(opening(), {STEP: FIVE}, 4):
            yield from partly_made_up(scene.turn())

    assert sum(map(check, scenes())) == 29_524


def test_what_a_child_owes_keeps_its_order_while_it_is_made_up_for() -> None:
    """P5: a child with up to four effects in every shape, between two steps; any of it may be through."""

    def scenes() -> Iterator[Scene]:
        for count in range(5):
            for shape in shapes(("d", "c", "b", "a")[:count]):
                for ending in THREE[:2]:
                    scene = opening().start("seat", STEP).end("seat", ending).start("payment", CHILD)
                    scene = scene.end("payment", (DONE, shape)).start("mail", BEST_EFFORT).turn()
                    yield from partly_made_up(scene)

    assert sum(map(check, scenes())) == 13_152


def test_shapes_are_all_there() -> None:
    """The ways to do one after the other and at once: the large Schröder numbers."""
    counts = [len(shapes(tuple("abcde"[:n]))) for n in range(6)]

    assert counts == [1, 1, 2, 6, 22, 90]
    assert len({str(shape) for shape in shapes(("a", "b", "c", "d"))}) == 22


def test_saga_compensates_what_is_in_doubt_one_after_the_other_unless_it_says_otherwise() -> None:
    """The careful way is the default."""
    ledger = Ledger()
    for address, ending in (("a", DONE), ("b", UNKNOWN), ("c", REJECTED)):
        ledger.start(address, compensation(address))
        ledger.fail(address, ending)

    assert ledger.plan() == (compensation("b"), compensation("a"))


def test_compensation_that_is_through_twice_is_through() -> None:
    """A person may settle what has succeeded at the same moment."""
    ledger = Ledger()
    for address in "ab":
        ledger.start(address, compensation(address))
    ledger.mark_compensated("b")
    ledger.mark_compensated("b")

    assert ledger.pending() == (compensation("a"),)


@pytest.mark.parametrize("end", ["complete", "complete_child", "fail"])
def test_what_never_started_does_not_end(end: str) -> None:
    """Its address is wrong: that must not pass unnoticed."""
    ledger = Ledger()
    ends = {
        "complete": lambda: ledger.complete("s"),
        "complete_child": lambda: ledger.complete_child("s", ()),
        "fail": lambda: ledger.fail("s", Outcome.UNKNOWN),
    }

    with pytest.raises(KeyError, match="s"):
        ends[end]()
    assert ledger.entries == {}


def test_lost_child_that_a_person_has_settled_is_lost_no_more() -> None:
    """It counts as one that has made up for what it did."""
    ledger = Ledger(CompensationScope.ATTEMPTED)
    ledger.start("payment", is_child=True)
    ledger.fail("payment", Outcome.UNKNOWN)
    assert ledger.unresolved_children() == ("payment",)

    ledger.fail("payment", Outcome.REJECTED)

    assert (ledger.unresolved_children(), ledger.pending()) == ((), ())


def test_several_at_once_are_one_part_of_the_plan() -> None:
    """Each step is a lane, the newest first, and a single one needs no company."""
    ledger = Ledger(order=CompensationOrder.PARALLEL)
    ledger.start("a", compensation("a"))
    assert ledger.plan() == (compensation("a"),)
    ledger.start("b", compensation("b"))

    assert ledger.plan() == (ParallelCompensations(lanes=((compensation("b"),), (compensation("a"),))),)


def test_nothing_of_a_compensation_is_lost_on_its_way_into_the_plan() -> None:
    """Where its workers listen and how patiently it is tried come out as they went in."""
    told = compensation("a", takes_result=True).model_copy(
        update={"task_queue": "cinema", "policy": ActivityPolicy(attempts=7)}
    )
    ledger = Ledger()
    ledger.start("a", told)
    ledger.complete("a", {"seat": 7})

    assert ledger.pending() == (told.model_copy(update={"arguments": ("m", {"seat": 7})}),)


def test_leaves_of_what_is_owed_come_in_its_order() -> None:
    """However deep they lie."""
    a, b, c, d = map(compensation, "abcd")
    tree = (a, ParallelCompensations(lanes=((b, ParallelCompensations(lanes=((c,), ()))), (), (d,))))

    assert list(flatten(tree)) == [a, b, c, d]


@pytest.mark.parametrize("ending", [Outcome.STARTED, Outcome.UNKNOWN, Outcome.REJECTED])
def test_compensation_gets_no_result_of_an_action_that_gave_none(ending: Outcome) -> None:
    """`None` says that nobody knows what the action returned."""
    ledger = Ledger(CompensationScope.ATTEMPTED)
    ledger.start("s", compensation("s", takes_result=True))
    if ending is not Outcome.STARTED:
        ledger.fail("s", ending)

    assert [one.arguments for one in ledger.pending()] == [("m", None)]


def test_compensation_gets_the_result_of_its_action() -> None:
    """Only where it asked for it."""
    ledger = Ledger()
    ledger.start("a", compensation("a", takes_result=True))
    ledger.start("b", compensation("b"))
    ledger.complete("a", "seat 7")
    ledger.complete("b", "seat 8")

    assert [one.arguments for one in ledger.pending()] == [("m",), ("m", "seat 7")]


def test_addresses_are_never_used_twice() -> None:
    """A step that is repeated gets a number, and steps do not count each other."""
    ledger = Ledger()

    assert [ledger.next_address(name) for name in "abaa"] == ["a", "b", "a#2", "a#3"]


def test_compensation_survives_being_written_down() -> None:
    """It is data: what is read back from a history is what was written."""
    written = compensation("a:b", takes_result=True)

    assert PendingCompensation.model_validate_json(written.model_dump_json()).model_dump(
        exclude={"arguments"}
    ) == written.model_dump(exclude={"arguments"})
