"""The ledger agrees with the oracle in all states of sagas.

Each test enumerates all states of a kind, and compares each state under both scopes and both orders of
compensation. The test also checks the number of compared ledgers: an empty enumeration proves nothing.
"""

from collections.abc import Iterator
from itertools import product

import pytest

from sagas import CompensationOrder, CompensationScope, OnStuck
from sagas._core.activity_policy import ActivityPolicy
from sagas._core.compensation import ParallelCompensations, PendingCompensation, flatten, waiting_behind
from sagas._core.ledger import Ledger
from sagas._core.outcome import Outcome

from .oracle import PlanShape, StepKind
from .saga_enumeration import (
    CLOSED_ENDINGS,
    DONE,
    REJECTED,
    STILL_OPEN,
    UNKNOWN,
    WITHDRAWN,
    Branch,
    CheckedState,
    Ending,
    check,
    initial_state,
    interleaved_states,
    partly_compensated,
    plan_shapes,
    sequential_states,
)

STEP, BARE, READ_ONLY, BEST_EFFORT, CHILD, PIVOT = (
    StepKind.STEP,
    StepKind.BARE,
    StepKind.READ_ONLY,
    StepKind.BEST_EFFORT,
    StepKind.CHILD,
    StepKind.PIVOT,
)
ALL_ENDINGS: tuple[Ending, ...] = (*CLOSED_ENDINGS, STILL_OPEN)
REPORTED_ENDINGS: tuple[Ending, ...] = ((DONE, ()), (REJECTED, ()), (UNKNOWN, ()))
PIVOT_ENDINGS: tuple[Ending, ...] = ((DONE, ()), (REJECTED, ()), (WITHDRAWN, ()), STILL_OPEN)


def child_endings(*most: str) -> tuple[Ending, ...]:
    """A child that has completed with a plan of the first effects, has failed, is unresolved, or is open."""
    plans: list[PlanShape] = [shape for count in range(len(most) + 1) for shape in plan_shapes(most[:count])]
    return (*((DONE, shape) for shape in plans), (REJECTED, ()), (UNKNOWN, ()), STILL_OPEN)


CLOSED_CHILD: Ending = (DONE, ("a", ["b", "c"]))


def compensation(address: str, *, takes_result: bool = False) -> PendingCompensation:
    arguments = ("m", None) if takes_result else ("m",)
    return PendingCompensation(
        address=address, activity=f"compensate-{address}", arguments=arguments, takes_result=takes_result
    )


def test_actions_that_may_have_happened_are_compensated_newest_first() -> None:
    """P4 and P5: no action more and no action less, for all endings of up to six steps."""
    assert sum(map(check, sequential_states(initial_state(), {STEP: ALL_ENDINGS}, 6))) == 4 * sum(
        5**n for n in range(7)
    )


def test_every_kind_of_step_may_follow_every_other_kind() -> None:
    """Steps of every effect class, best efforts, and children with up to two effects."""
    kinds = {
        STEP: ALL_ENDINGS,
        BARE: REPORTED_ENDINGS,
        READ_ONLY: REPORTED_ENDINGS,
        BEST_EFFORT: (*REPORTED_ENDINGS, STILL_OPEN),
        CHILD: child_endings("b", "a"),
    }

    assert sum(map(check, sequential_states(initial_state(), kinds, 3))) == 4 * sum(22**n for n in range(4))


def test_every_pair_of_steps_children_and_pivots_is_planned_as_promised() -> None:
    """Children have up to three effects in every shape; the pivot comes first or second."""
    kinds = {
        STEP: ALL_ENDINGS,
        BARE: ALL_ENDINGS,
        READ_ONLY: ALL_ENDINGS,
        BEST_EFFORT: ALL_ENDINGS,
        CHILD: child_endings("c", "b", "a"),
        PIVOT: PIVOT_ENDINGS,
    }

    assert sum(map(check, sequential_states(initial_state(), kinds, 2))) == 5_464


@pytest.mark.parametrize(
    ("branches", "endings", "cases"),
    [
        (((STEP, STEP), (STEP,)), {STEP: CLOSED_ENDINGS}, 18_152),
        (((STEP,), (STEP,), (STEP,)), {STEP: (REPORTED_ENDINGS[0], REPORTED_ENDINGS[2])}, 19_064),
        (((STEP, STEP), (STEP, STEP)), {STEP: REPORTED_ENDINGS[:2]}, 27_832),
        (
            ((STEP, BEST_EFFORT), (CHILD,)),
            {
                STEP: REPORTED_ENDINGS,
                BEST_EFFORT: REPORTED_ENDINGS,
                CHILD: (CLOSED_CHILD, *REPORTED_ENDINGS[1:]),
            },
            8_416,
        ),
        (
            ((CHILD,), (CHILD,), (STEP,)),
            {STEP: REPORTED_ENDINGS[:2], CHILD: (CLOSED_CHILD, REPORTED_ENDINGS[1])},
            19_064,
        ),
    ],
    ids=["two and one", "three", "two and two", "a child beside two", "two children and one"],
)
def test_branches_are_compensated_in_the_reverse_order_of_the_starts(
    branches: tuple[Branch, ...], endings: dict[StepKind, tuple[Ending, ...]], cases: int
) -> None:
    """P5: for every order of starts and ends, and wherever the saga starts compensating.

    A step that ends after compensating has started is compensated according to its outcome.
    """
    assert sum(map(check, interleaved_states(initial_state(), branches, endings))) == cases


def test_a_done_compensation_is_no_longer_pending_and_the_others_are() -> None:
    """P2 and P7: for every subset of done compensations of up to four steps."""

    def states() -> Iterator[CheckedState]:
        for state in sequential_states(initial_state(), {STEP: ALL_ENDINGS}, 4):
            yield from partly_compensated(state.start_compensating())

    assert sum(map(check, states())) == 29_524


def test_the_compensations_of_a_child_keep_their_order_while_some_are_done() -> None:
    """P5: a child with up to four effects in every shape, between two steps, with any subset done."""

    def states() -> Iterator[CheckedState]:
        for count in range(5):
            for shape in plan_shapes(("d", "c", "b", "a")[:count]):
                for ending in REPORTED_ENDINGS[:2]:
                    state = initial_state().start("seat", STEP).end("seat", ending).start("payment", CHILD)
                    state = (
                        state.end("payment", (DONE, shape)).start("mail", BEST_EFFORT).start_compensating()
                    )
                    yield from partly_compensated(state)

    assert sum(map(check, states())) == 13_152


def test_the_enumeration_contains_all_plan_shapes() -> None:
    """The numbers of sequential and parallel nestings are the large Schröder numbers."""
    counts = [len(plan_shapes(tuple("abcde"[:n]))) for n in range(6)]

    assert counts == [1, 1, 2, 6, 22, 90]
    assert len({str(shape) for shape in plan_shapes(("a", "b", "c", "d"))}) == 22


def test_a_saga_compensates_steps_in_doubt_sequentially_by_default() -> None:
    """The defaults are the scope `IN_DOUBT` and the order `REVERSE`."""
    ledger = Ledger()
    for address, ending in (("a", DONE), ("b", UNKNOWN), ("c", REJECTED)):
        ledger.start(address, compensation(address))
        ledger.fail(address, ending)

    assert ledger.plan() == (compensation("b"), compensation("a"))


def test_a_compensation_may_be_marked_as_done_twice() -> None:
    """An operator may resolve a compensation manually while the compensation succeeds."""
    ledger = Ledger()
    for address in "ab":
        ledger.start(address, compensation(address))
    ledger.mark_compensated("b")
    ledger.mark_compensated("b")

    assert ledger.pending() == (compensation("a"),)


@pytest.mark.parametrize("end", ["complete", "complete_child", "fail"])
def test_an_unknown_address_cannot_end(end: str) -> None:
    """A wrong address is an error."""
    ledger = Ledger()
    ends = {
        "complete": lambda: ledger.complete("s"),
        "complete_child": lambda: ledger.complete_child("s", ()),
        "fail": lambda: ledger.fail("s", Outcome.UNKNOWN),
    }

    with pytest.raises(KeyError, match="s"):
        ends[end]()
    assert ledger.entries == {}


def test_an_unresolved_child_that_an_operator_has_resolved_is_resolved() -> None:
    """The child counts as compensated."""
    ledger = Ledger(CompensationScope.ATTEMPTED)
    ledger.start("payment", is_child=True)
    ledger.fail("payment", Outcome.UNKNOWN)
    assert ledger.unresolved_children() == ("payment",)

    ledger.fail("payment", Outcome.REJECTED)

    assert (ledger.unresolved_children(), ledger.pending()) == ((), ())


def test_parallel_compensations_are_one_item_of_the_plan() -> None:
    """Each step is a branch, the newest first; a single step needs no parallel item."""
    ledger = Ledger(order=CompensationOrder.PARALLEL)
    ledger.start("a", compensation("a"))
    assert ledger.plan() == (compensation("a"),)
    ledger.start("b", compensation("b"))

    assert ledger.plan() == (ParallelCompensations(branches=((compensation("b"),), (compensation("a"),))),)


def test_a_compensation_in_the_plan_keeps_its_options() -> None:
    """The task queue and the policy stay as declared."""
    declared = compensation("a", takes_result=True).model_copy(
        update={"task_queue": "cinema", "policy": ActivityPolicy(maximum_attempts=7)}
    )
    ledger = Ledger()
    ledger.start("a", declared)
    ledger.complete("a", {"seat": 7})

    assert ledger.pending() == (declared.model_copy(update={"arguments": ("m", {"seat": 7})}),)


def test_flatten_keeps_the_order_of_the_plan() -> None:
    """At every depth of nesting."""
    a, b, c, d = map(compensation, "abcd")
    tree = (a, ParallelCompensations(branches=((b, ParallelCompensations(branches=((c,), ()))), (), (d,))))

    assert list(flatten(tree)) == [a, b, c, d]


@pytest.mark.parametrize("ending", [Outcome.STARTED, Outcome.UNKNOWN, Outcome.REJECTED])
def test_a_compensation_of_an_action_without_result_gets_none(ending: Outcome) -> None:
    """`None` stands for an unknown result."""
    ledger = Ledger(CompensationScope.ATTEMPTED)
    ledger.start("s", compensation("s", takes_result=True))
    if ending is not Outcome.STARTED:
        ledger.fail("s", ending)

    assert [one.arguments for one in ledger.pending()] == [("m", None)]


def test_a_compensation_gets_the_result_of_its_action() -> None:
    """Only a compensation that takes a result."""
    ledger = Ledger()
    ledger.start("a", compensation("a", takes_result=True))
    ledger.start("b", compensation("b"))
    ledger.complete("a", "seat 7")
    ledger.complete("b", "seat 8")

    assert [one.arguments for one in ledger.pending()] == [("m",), ("m", "seat 7")]


def test_addresses_are_never_used_twice() -> None:
    """A repeated step gets a number; each name has its own count."""
    ledger = Ledger()

    assert [ledger.next_address(name) for name in "abaa"] == ["a", "b", "a#2", "a#3"]


def test_a_compensation_survives_serialisation() -> None:
    """A compensation read from a history equals the written compensation."""
    written = compensation("a:b", takes_result=True)

    assert PendingCompensation.model_validate_json(written.model_dump_json()).model_dump(
        exclude={"arguments"}
    ) == written.model_dump(exclude={"arguments"})


def test_sequential_compensations_wait_behind_a_failing_one() -> None:
    """Branches are independent; what follows the branches waits for the first failing one among them."""
    a, b, c, d, e = map(compensation, "abcde")
    plan = (a, ParallelCompensations(branches=((b, c), (d,))), e)

    assert waiting_behind(plan, {"a"}) == dict.fromkeys("bcde", "a")
    assert waiting_behind(plan, {"b"}) == {"c": "b", "e": "b"}
    assert waiting_behind(plan, {"c", "d"}) == {"e": "c"}
    assert waiting_behind(plan, {"e"}) == waiting_behind(plan, ()) == {}


@pytest.mark.parametrize("outcome", [Outcome.STARTED, Outcome.UNKNOWN])
def test_older_compensations_wait_behind_an_unresolved_child(outcome: Outcome) -> None:
    """Only with `OnStuck.WAIT` and in sequence; the newest unresolved child counts."""
    for on_stuck, order in product(OnStuck, CompensationOrder):
        ledger = Ledger(order=order, on_stuck=on_stuck)
        ledger.start("a", compensation("a"))
        ledger.start("older", is_child=True)
        ledger.start("b", compensation("b"))
        ledger.start("newer", is_child=True)
        ledger.start("c", compensation("c"))
        for child in ("older", "newer"):
            if outcome is not Outcome.STARTED:
                ledger.fail(child, outcome)

        waits = on_stuck is OnStuck.WAIT and order is CompensationOrder.REVERSE
        assert ledger.behind_children() == ({"b": "newer", "a": "newer"} if waits else {})
        ledger.fail("newer", Outcome.REJECTED)
        assert ledger.behind_children() == ({"a": "older"} if waits else {})
        ledger.fail("older", Outcome.REJECTED)
        assert ledger.behind_children() == {}
