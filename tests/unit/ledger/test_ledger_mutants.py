"""The comparison of ledger and oracle notices every fault that is planted in the ledger.

A fault is a text of `sagas/_core/ledger.py` and its replacement; its name is the effect on a user.
Three that would be natural are not among them, as no answer of the ledger tells them from what is there:

- A step or child after the pivot that keeps what it owes: the plan is empty there in any case. (What the
  ledger carries on would grow; `test_step_after_the_pivot_carries_no_compensation` sees it.)
- A single lane that is put into a `ParallelCompensations`: it is made up for in the same way.
- A lane with nothing left in it that is kept: there is nothing to do in it.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sagas import DefinitionError
from sagas._core import compensation
from sagas._core import ledger as kernel
from sagas._core.ledger import Ledger

from .oracle import Kind
from .pivot_enumeration import groups_round_a_pivot, round_a_pivot
from .saga_enumeration import (
    DONE,
    PLAIN,
    REJECTED,
    UNDER_WAY,
    UNKNOWN,
    BrokenPromiseError,
    Ending,
    Scene,
    check,
    in_turn,
    interleaved,
    opening,
    partly_made_up,
)

SOURCE = inspect.getsource(compensation) + inspect.getsource(kernel)
STEP, BARE, BEST_EFFORT, CHILD, PIVOT = Kind.STEP, Kind.BARE, Kind.BEST_EFFORT, Kind.CHILD, Kind.PIVOT
REFUSED: Ending = (REJECTED, ())
OF_A_CHILD: tuple[Ending, ...] = ((DONE, ("b", "a")), (DONE, ["b", "a"]), (REJECTED, ()), (UNKNOWN, ()))


@dataclass(frozen=True, slots=True)
class Fault:
    """A text of the ledger, what takes its place, and what it would mean."""

    meaning: str
    text: str
    instead: str

    def planted(self) -> type[Ledger]:
        """The ledger with this fault in it."""
        assert SOURCE.count(self.text) == 1, f"{self.text!r} is not once in the ledger: mend this fault"
        tree = ast.parse(SOURCE.replace(self.text, self.instead))
        tree.body = [n for n in tree.body if getattr(n, "name", None) in ("Ledger", "flatten", "select")]
        # Everything else is shared, so that an outcome or a scope is the same there and here.
        names = {**vars(compensation), **vars(kernel)}
        exec(compile(tree, f"<{self.meaning}>", "exec"), names)
        mutant: type[Ledger] = names["Ledger"]
        return mutant


FAULTS = [
    Fault("the oldest is compensated first", "reversed(self.entries.values())", "self.entries.values()"),
    Fault(
        "the last that ended, not the last that started, is compensated first",
        "        )\n        self.entries[address] = replace(entry, outcome=Outcome.DONE, compensations=compensations)",
        "        )\n        del self.entries[address]\n"
        "        self.entries[address] = replace(entry, outcome=Outcome.DONE, compensations=compensations)",
    ),
    Fault(
        "a rejected step is compensated", "return self.scope is CompensationScope.ATTEMPTED", "return True"
    ),
    Fault(
        "a refusal that may leave something is not",
        "return self.scope is CompensationScope.ATTEMPTED",
        "return False",
    ),
    Fault(
        "the scopes are exchanged",
        "self.scope is CompensationScope.ATTEMPTED",
        "self.scope is CompensationScope.IN_DOUBT",
    ),
    Fault(
        "what was never sent is compensated", "return entry.outcome is not Outcome.WITHDRAWN", "return True"
    ),
    Fault(
        "what may have happened is forgotten",
        "return entry.outcome is not Outcome.WITHDRAWN",
        "return entry.outcome not in (Outcome.WITHDRAWN, Outcome.UNKNOWN)",
    ),
    Fault(
        "what is under way is forgotten",
        "return entry.outcome is not Outcome.WITHDRAWN",
        "return entry.outcome not in (Outcome.WITHDRAWN, Outcome.STARTED)",
    ),
    Fault(
        "what is done is kept",
        "return entry.outcome is not Outcome.WITHDRAWN",
        "return entry.outcome not in (Outcome.WITHDRAWN, Outcome.DONE)",
    ),
    Fault(
        "a best effort leaves its effect behind",
        "if compensation is None else",
        "if compensation is None or is_best_effort else",
    ),
    Fault(
        "a failed step forgets its compensation",
        "replace(self.entries[address], outcome=outcome)",
        "replace(self.entries[address], outcome=outcome, compensations=())",
    ),
    Fault("a failure is not written down", "[address], outcome=outcome)", "[address])"),
    Fault(
        "compensations run at once that build on each other",
        "if self.order is CompensationOrder.PARALLEL and",
        "if",
    ),
    Fault("compensations wait for each other that need not", "len(branches) > 1", "len(branches) > 2"),
    Fault(
        "a child's compensations run at once with the rest",
        "return (ParallelCompensations(lanes=tuple(branches)),)",
        "return (ParallelCompensations(lanes=tuple((item,) for branch in branches for item in branch)),)",
    ),
    Fault(
        "at once, the oldest begins first",
        "return (ParallelCompensations(lanes=tuple(branches)),)",
        "return (ParallelCompensations(lanes=tuple(branches[::-1])),)",
    ),
    Fault(
        "a saga past its pivot compensates what was before it",
        "if is_past_pivot:\n            return ()",
        "if False:\n            return ()",
    ),
    Fault("a compensation runs again and again", "self.compensated.add(address)", "pass"),
    Fault(
        "a child's compensation runs again",
        "tuple(kept for lane in part.lanes if (kept := select(lane, is_wanted)))",
        "part.lanes",
    ),
    Fault(
        "one compensation that is through ends those after it",
        "if is_wanted(part.address):\n                parts.append(part)",
        "if not is_wanted(part.address):\n                return ()\n            parts.append(part)",
    ),
    Fault(
        "what a child does at once is done one after the other",
        "parts.append(ParallelCompensations(lanes=lanes))",
        "parts.extend(one for lane in lanes for one in lane)",
    ),
    Fault(
        "one lane of a child that is through ends the others",
        "elif lanes := tuple(kept for lane in part.lanes if (kept := select(lane, is_wanted))):",
        "elif all(lanes := tuple(select(lane, is_wanted) for lane in part.lanes)):",
    ),
    Fault(
        "a compensation does not get the result that it asks for",
        '{"arguments": (*each.arguments[:1], result)}',
        "{}",
    ),
    Fault(
        "a compensation gets its arguments twice",
        "(*each.arguments[:1], result)",
        "(*each.arguments, result)",
    ),
    Fault(
        "a compensation gets a result that it cannot take",
        "isinstance(each, PendingCompensation) and each.takes_result",
        "isinstance(each, PendingCompensation)",
    ),
    Fault(
        "what a child owes is lost when it closes",
        "outcome=Outcome.DONE, compensations=compensations)\n\n    def fail",
        "outcome=Outcome.DONE)\n\n    def fail",
    ),
    Fault(
        "a child is made up for in its forward order",
        "outcome=Outcome.DONE, compensations=compensations)\n\n    def fail",
        "outcome=Outcome.DONE, compensations=compensations[::-1])\n\n    def fail",
    ),
    Fault(
        "a child that has closed counts as lost",
        "outcome=Outcome.DONE, compensations=compensations)\n\n    def fail",
        "compensations=compensations)\n\n    def fail",
    ),
    Fault(
        "a child that was terminated is not missed",
        "e.is_child and e.outcome in IN_DOUBT",
        "e.is_child and e.outcome in (Outcome.STARTED,)",
    ),
    Fault(
        "a child that never answered is not missed",
        "e.is_child and e.outcome in IN_DOUBT",
        "e.is_child and e.outcome in (Outcome.UNKNOWN,)",
    ),
    Fault(
        "a child that has compensated by itself is waited for",
        "e.is_child and e.outcome in IN_DOUBT",
        "e.is_child and e.outcome in (Outcome.UNKNOWN, Outcome.STARTED, Outcome.REJECTED)",
    ),
    Fault("a step is waited for as if it were a child", "if e.is_child and", "if"),
    Fault(
        "a saga completes with a step of which nobody knows",
        "(entry.outcome in IN_DOUBT or",
        "(entry.outcome in (Outcome.STARTED,) or",
    ),
    Fault(
        "a saga completes with a step that is under way",
        "(entry.outcome in IN_DOUBT or",
        "(entry.outcome in (Outcome.UNKNOWN,) or",
    ),
    Fault("a receipt that was not sent fails the saga", "if not entry.is_best_effort\n            and", "if"),
    Fault(
        "a refusal that leaves nothing fails the saga",
        "(entry.outcome is Outcome.REJECTED and entry.compensations)",
        "entry.outcome is Outcome.REJECTED",
    ),
    Fault(
        "a refusal fails a saga that does not doubt it",
        "            and self._is_compensatable(entry)\n",
        "",
    ),
    Fault(
        "a saga completes with a refusal that may leave something",
        "entry.outcome in IN_DOUBT or (entry.outcome is Outcome.REJECTED and entry.compensations)",
        "entry.outcome in IN_DOUBT",
    ),
    Fault(
        "a saga completes with an unknown step that has no compensation",
        "entry.outcome in IN_DOUBT or",
        "(entry.outcome in IN_DOUBT and entry.compensations) or",
    ),
    Fault("a step that is repeated has the key of the first", "if count == 1 else", "if count <= 2 else"),
    Fault("steps count each other", "self.address_counts.get(name, 0) + 1", "len(self.entries) + 1"),
    Fault("a preview shows one lane only", "for lane in part.lanes:", "for lane in part.lanes[:1]:"),
]

DEEP_FAULTS = [
    Fault(
        "a saga turns back from the last of five steps after its pivot",
        "if is_past_pivot:\n            return ()",
        "if is_past_pivot and len(self.entries) < 6:\n            return ()",
    ),
    Fault(
        "behind a group and a pivot, the last that ended is compensated first",
        "self.entries[address] = replace(self.entries[address], outcome=outcome)",
        "entry = self.entries.pop(address) if len(self.entries) > 3 else self.entries[address]\n"
        "        self.entries[address] = replace(entry, outcome=outcome)",
    ),
]
"""What only a saga of many parts shows."""


def moments(kind_of_ledger: type[Ledger]) -> Iterator[Scene]:
    """A little of everything that `test_ledger` walks through."""
    start = opening(kind_of_ledger)
    few: tuple[Ending, ...] = (*PLAIN, UNDER_WAY)
    kinds = {
        STEP: few,
        BARE: few,
        BEST_EFFORT: few,
        CHILD: (*OF_A_CHILD, UNDER_WAY),
        PIVOT: ((DONE, ()), (REJECTED, ()), UNDER_WAY),
    }
    yield from in_turn(start, kinds, 2)
    yield from interleaved(start, ((STEP,), (STEP,)), {STEP: PLAIN})
    for ending in OF_A_CHILD:
        scene = start.start("seat", STEP).start("payment", CHILD).end("payment", ending)
        yield from partly_made_up(scene.start("mail", BEST_EFFORT).turn())


def deep_moments(kind_of_ledger: type[Ledger]) -> Iterator[Scene]:
    """Those of sagas of six parts with a pivot, and of a pivot between groups."""
    start, pair = opening(kind_of_ledger), ((STEP,), (STEP,))
    yield from groups_round_a_pivot(start, pair, (REFUSED,), pair, {STEP: (REFUSED,)})
    yield from round_a_pivot(start, {STEP: (*PLAIN, UNDER_WAY)}, ((DONE, ()), REFUSED), 6)


def test_the_ledger_has_none_of_these_faults() -> None:
    """What the faults are caught by does not cry wolf, and looks at something."""
    assert sum(map(check, moments(Ledger))) == 4_068


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.meaning)
def test_a_planted_fault_is_caught(fault: Fault) -> None:
    """By an answer that is not the promised one, or a refusal where there is nothing to refuse."""
    mutant = fault.planted()

    with pytest.raises((BrokenPromiseError, DefinitionError)):
        sum(map(check, moments(mutant)))


@pytest.mark.parametrize("fault", DEEP_FAULTS, ids=lambda fault: fault.meaning)
def test_a_fault_of_large_sagas_is_caught_by_large_sagas(fault: Fault) -> None:
    """And by no smaller ones."""
    mutant = fault.planted()
    assert sum(map(check, moments(mutant))) == 4_068

    with pytest.raises(BrokenPromiseError):
        sum(map(check, deep_moments(mutant)))


def test_faults_are_different() -> None:
    """Each is another change, with another meaning."""
    faults = [*FAULTS, *DEEP_FAULTS]

    assert len({(fault.text, fault.instead) for fault in faults}) == len(faults) == 42 + 2
    assert len({fault.meaning for fault in faults}) == len(faults)
