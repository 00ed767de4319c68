"""The comparison of ledger and oracle detects every mutant of the ledger.

A mutation replaces a text of `sagas/_core/ledger.py`, and is named after the effect on a user. Three natural
mutations are equivalent, as no answer of the ledger changes:

- A step or child after the pivot keeps its compensations: the plan is empty there in any case. (The continued
  state would grow; `test_step_after_the_pivot_carries_no_compensation` detects the growth.)
- A single branch is wrapped in a `ParallelCompensations`: the compensations run in the same way.
- An empty branch is kept: there is nothing to run.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sagas import CompensationOrder, DefinitionError
from sagas._core import compensation
from sagas._core import ledger as ledger_module
from sagas._core.ledger import Ledger

from .oracle import Path, StepKind
from .pivot_enumeration import states_around_pivot, states_of_branches_around_pivot
from .saga_enumeration import (
    CLOSED_ENDINGS,
    DONE,
    REJECTED,
    STILL_OPEN,
    UNKNOWN,
    BrokenPromiseError,
    CheckedState,
    Ending,
    check,
    check_units,
    initial_state,
    interleaved_states,
    partly_compensated,
    partly_confirmed,
    sectioned_states,
    sequential_states,
)

SOURCE = inspect.getsource(compensation) + inspect.getsource(ledger_module)
STEP, BARE, READ_ONLY, BEST_EFFORT, CHILD, PIVOT = (
    StepKind.STEP,
    StepKind.BARE,
    StepKind.READ_ONLY,
    StepKind.BEST_EFFORT,
    StepKind.CHILD,
    StepKind.PIVOT,
)
MAPLE: Path = (("maple", CompensationOrder.REVERSE),)
INNER: Path = (*MAPLE, ("inner", CompensationOrder.PARALLEL))
REJECTED_ENDING: Ending = (REJECTED, ())
CHILD_ENDINGS: tuple[Ending, ...] = ((DONE, ("b", "a")), (DONE, ["b", "a"]), (REJECTED, ()), (UNKNOWN, ()))


REPLACED = ("Ledger", "LedgerEntry", "flatten", "select")
"""The classes and functions of a mutant; a mutant shares all other names with the ledger."""


CHILD_DONE = (
    "outcome=Outcome.DONE, compensations=compensations, confirmations=confirmations\n        )\n"
    "\n    def fail"
)
"""The end of the text that records the end of a child."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A text of the ledger, the replacement, and the effect on a user."""

    effect: str
    text: str
    replacement: str

    def mutant(self) -> type[Ledger]:
        """The mutated ledger."""
        assert SOURCE.count(self.text) == 1, (
            f"{self.text!r} must occur once in the ledger: adapt the mutation"
        )
        tree = ast.parse(SOURCE.replace(self.text, self.replacement))
        tree.body = [n for n in tree.body if getattr(n, "name", None) in REPLACED]
        names = {**vars(compensation), **vars(ledger_module)}
        exec(compile(tree, f"<{self.effect}>", "exec"), names)
        mutant: type[Ledger] = names["Ledger"]
        return mutant


MUTATIONS = [
    Mutation("the oldest is compensated first", "reversed(units.values())", "units.values()"),
    Mutation(
        "the last that ended, not the last that started, is compensated first",
        "        )\n        self.entries[address] = replace(\n            entry, outcome=Outcome.DONE",
        "        )\n        del self.entries[address]\n        self.entries[address] = replace(\n"
        "            entry, outcome=Outcome.DONE",
    ),
    Mutation(
        "a rejected step is compensated", "return self.scope is CompensationScope.ATTEMPTED", "return True"
    ),
    Mutation(
        "a rejection that may leave an effect is not compensated",
        "return self.scope is CompensationScope.ATTEMPTED",
        "return False",
    ),
    Mutation(
        "the scopes are exchanged",
        "self.scope is CompensationScope.ATTEMPTED",
        "self.scope is CompensationScope.IN_DOUBT",
    ),
    Mutation(
        "a withdrawn step is compensated", "return entry.outcome is not Outcome.WITHDRAWN", "return True"
    ),
    Mutation(
        "an unknown step is not compensated",
        "return entry.outcome is not Outcome.WITHDRAWN",
        "return entry.outcome not in (Outcome.WITHDRAWN, Outcome.UNKNOWN)",
    ),
    Mutation(
        "an open step is not compensated",
        "return entry.outcome is not Outcome.WITHDRAWN",
        "return entry.outcome not in (Outcome.WITHDRAWN, Outcome.STARTED)",
    ),
    Mutation(
        "a done step is not compensated",
        "return entry.outcome is not Outcome.WITHDRAWN",
        "return entry.outcome not in (Outcome.WITHDRAWN, Outcome.DONE)",
    ),
    Mutation(
        "a best effort leaves its effect behind",
        "if compensation is None else",
        "if compensation is None or is_best_effort else",
    ),
    Mutation(
        "a failed step loses its compensation",
        "replace(self.entries[address], outcome=outcome)",
        "replace(self.entries[address], outcome=outcome, compensations=())",
    ),
    Mutation("a failure is not recorded", "[address], outcome=outcome)", "[address])"),
    Mutation(
        "dependent compensations run in parallel",
        "if order is CompensationOrder.PARALLEL and",
        "if",
    ),
    Mutation("independent compensations wait for each other", "len(branches) > 1", "len(branches) > 2"),
    Mutation(
        "the compensations of a child run in parallel with the rest",
        "return (ParallelCompensations(branches=tuple(branches)),)",
        "return (ParallelCompensations(branches=tuple((item,) for branch in branches for item in branch)),)",
    ),
    Mutation(
        "in parallel, the oldest starts first",
        "return (ParallelCompensations(branches=tuple(branches)),)",
        "return (ParallelCompensations(branches=tuple(branches[::-1])),)",
    ),
    Mutation(
        "a saga past the pivot compensates steps before the pivot",
        "if is_past_pivot:\n            entries = [",
        "if False:\n            entries = [",
    ),
    Mutation("a done compensation runs again", "self.compensated.add(address)", "pass"),
    Mutation(
        "a done compensation of a child runs again",
        "tuple(kept for branch in item.branches if (kept := select(branch, is_wanted)))",
        "item.branches",
    ),
    Mutation(
        "one done compensation drops the later compensations",
        "if is_wanted(item.address):\n                items.append(item)",
        "if not is_wanted(item.address):\n                return ()\n            items.append(item)",
    ),
    Mutation(
        "the parallel compensations of a child run one after the other",
        "items.append(ParallelCompensations(branches=branches))",
        "items.extend(one for branch in branches for one in branch)",
    ),
    Mutation(
        "one done branch of a child drops the other branches",
        "elif branches := tuple(kept for branch in item.branches if (kept := select(branch, is_wanted))):",
        "elif all(branches := tuple(select(branch, is_wanted) for branch in item.branches)):",
    ),
    Mutation(
        "a compensation does not get the result",
        '{"arguments": (*each.arguments[:1], result)}',
        "{}",
    ),
    Mutation(
        "a compensation gets its arguments twice",
        "(*each.arguments[:1], result)",
        "(*each.arguments, result)",
    ),
    Mutation(
        "a compensation without a second parameter gets the result",
        "isinstance(each, PendingCompensation) and each.takes_result",
        "isinstance(each, PendingCompensation)",
    ),
    Mutation(
        "a closed child loses its pending compensations",
        CHILD_DONE,
        "outcome=Outcome.DONE, confirmations=confirmations\n        )\n\n    def fail",
    ),
    Mutation(
        "a child is compensated in its forward order",
        CHILD_DONE,
        CHILD_DONE.replace("=compensations,", "=compensations[::-1],"),
    ),
    Mutation(
        "a closed child counts as unresolved",
        CHILD_DONE,
        CHILD_DONE.replace("outcome=Outcome.DONE, ", ""),
    ),
    Mutation(
        "a terminated child is not unresolved",
        "e.is_child and e.outcome in IN_DOUBT",
        "e.is_child and e.outcome in (Outcome.STARTED,)",
    ),
    Mutation(
        "an open child is not unresolved",
        "e.is_child and e.outcome in IN_DOUBT",
        "e.is_child and e.outcome in (Outcome.UNKNOWN,)",
    ),
    Mutation(
        "a compensated child is unresolved",
        "e.is_child and e.outcome in IN_DOUBT",
        "e.is_child and e.outcome in (Outcome.UNKNOWN, Outcome.STARTED, Outcome.REJECTED)",
    ),
    Mutation("a step counts as an unresolved child", "if e.is_child and", "if"),
    Mutation(
        "a saga completes with an unknown step",
        "(entry.outcome in IN_DOUBT or",
        "(entry.outcome in (Outcome.STARTED,) or",
    ),
    Mutation(
        "a saga completes with an open step",
        "(entry.outcome in IN_DOUBT or",
        "(entry.outcome in (Outcome.UNKNOWN,) or",
    ),
    Mutation("a failed best effort fails the saga", "if not entry.is_best_effort\n            and", "if"),
    Mutation(
        "an unknown read-only step fails the saga",
        "(with_read_only or not entry.is_read_only)",
        "(with_read_only or True)",
    ),
    Mutation("the class of a read-only step is lost", "is_read_only=is_read_only", "is_read_only=False"),
    Mutation("no unknown step fails a saga", "or not entry.is_read_only", "or entry.is_read_only"),
    Mutation(
        "a compensated step fails the saga", "            and entry.address not in self.compensated\n", ""
    ),
    Mutation(
        "a forgotten step is compensated",
        "replace(self.entries[address], compensations=(), confirmations=())",
        "replace(self.entries[address], confirmations=())",
    ),
    Mutation(
        "a forgotten step is confirmed",
        "replace(self.entries[address], compensations=(), confirmations=())",
        "replace(self.entries[address], compensations=())",
    ),
    Mutation(
        "a confirmation is not recorded",
        "self.entries[address], confirmations=(confirmation,)",
        "self.entries[address]",
    ),
    Mutation(
        "a step that is not done is confirmed",
        "if entry.outcome is Outcome.DONE and not self.is_lost(entry.sections)\n            for each",
        "if not self.is_lost(entry.sections)\n            for each",
    ),
    Mutation(
        "a lost alternative is confirmed",
        "entry.outcome is Outcome.DONE and not self.is_lost(entry.sections)",
        "entry.outcome is Outcome.DONE",
    ),
    Mutation(
        "a compensated step is confirmed",
        "each.address not in self.compensated and each.address not in self.confirmed",
        "each.address not in self.confirmed",
    ),
    Mutation(
        "a done confirmation runs again",
        "each.address not in self.compensated and each.address not in self.confirmed",
        "each.address not in self.compensated",
    ),
    Mutation("a done confirmation is not recorded", "self.confirmed.add(address)", "pass"),
    Mutation(
        "a closed child loses its confirmations",
        CHILD_DONE,
        CHILD_DONE.replace(", confirmations=confirmations", ""),
    ),
    Mutation(
        "a confirmation does not get the result",
        '{"arguments": (one.arguments[0], result)}',
        "{}",
    ),
    Mutation(
        "a confirmation without a second parameter gets the result",
        "if one.takes_result else one",
        "if True else one",
    ),
    Mutation(
        "the newest step is confirmed first",
        "for entry in self.entries.values()\n            if entry.outcome is Outcome.DONE",
        "for entry in reversed(self.entries.values())\n            if entry.outcome is Outcome.DONE",
    ),
    Mutation(
        "the steps of a section are steps of the saga",
        "units.setdefault(entry.sections[depth].address if is_nested else entry.address, [])",
        "units.setdefault(entry.address, [])",
    ),
    Mutation(
        "a section has the order of the saga",
        "self._plan(unit, depth + 1, sections[depth].order)",
        "self._plan(unit, depth + 1, order)",
    ),
    Mutation(
        "a compensated section has the order of the saga",
        "self._plan(members, depth + 1, members[0].sections[depth].order)",
        "self._plan(members, depth + 1, self.order)",
    ),
    Mutation(
        "a compensated section leaves the sections inside alone",
        "any(each.address == section for each in self.sections)",
        "bool(self.sections) and self.sections[-1].address == section",
    ),
    Mutation(
        "a lost alternative stays after the pivot",
        "[entry for entry in entries if self.is_lost(entry.sections)]",
        "[]",
    ),
    Mutation(
        "a step in doubt of a lost alternative fails the saga",
        "            and not self.is_lost(entry.sections)\n",
        "",
    ),
    Mutation("a lost alternative is not remembered", "self.lost.add(section)", "pass"),
    Mutation(
        "a section inside of a lost alternative is not lost",
        "any(each.address in self.lost for each in sections)",
        "any(each.address in self.lost for each in tuple(sections)[-1:])",
    ),
    Mutation(
        "a single step is not compensated alone", "self._plan([entry], len(entry.sections), self.order)", "()"
    ),
    Mutation(
        "a rejection without effect fails the saga",
        "(entry.outcome is Outcome.REJECTED and entry.compensations)",
        "entry.outcome is Outcome.REJECTED",
    ),
    Mutation(
        "a rejection fails a saga of the scope in doubt",
        "            and self._is_compensatable(entry)\n",
        "",
    ),
    Mutation(
        "a saga completes with a rejection that may leave an effect",
        "entry.outcome in IN_DOUBT or (entry.outcome is Outcome.REJECTED and entry.compensations)",
        "entry.outcome in IN_DOUBT",
    ),
    Mutation(
        "a saga completes with an unknown step that has no compensation",
        "entry.outcome in IN_DOUBT or",
        "(entry.outcome in IN_DOUBT and entry.compensations) or",
    ),
    Mutation("a repeated step has the key of the first step", "if count == 1 else", "if count <= 2 else"),
    Mutation("the names share one count", "self.address_counts.get(name, 0) + 1", "len(self.entries) + 1"),
    Mutation(
        "a preview shows one branch only", "for branch in item.branches:", "for branch in item.branches[:1]:"
    ),
]

DEEP_MUTATIONS = [
    Mutation(
        "a saga compensates after the last of five steps past the pivot",
        "if is_past_pivot:\n            entries = [",
        "if is_past_pivot and len(self.entries) < 6:\n            entries = [",
    ),
    Mutation(
        "after branches and a pivot, the step that ended last is compensated first",
        "self.entries[address] = replace(self.entries[address], outcome=outcome)",
        "entry = self.entries.pop(address) if len(self.entries) > 3 else self.entries[address]\n"
        "        self.entries[address] = replace(entry, outcome=outcome)",
    ),
]
"""Mutations that only a saga of many steps detects."""


def sampled_states(kind_of_ledger: type[Ledger]) -> Iterator[CheckedState]:
    """A small part of the states of `test_ledger`."""
    start = initial_state(kind_of_ledger)
    few: tuple[Ending, ...] = (*CLOSED_ENDINGS, STILL_OPEN)
    kinds = {
        STEP: few,
        BARE: few,
        READ_ONLY: few,
        BEST_EFFORT: few,
        CHILD: (*CHILD_ENDINGS, STILL_OPEN),
        PIVOT: ((DONE, ()), (REJECTED, ()), STILL_OPEN),
    }
    yield from sequential_states(start, kinds, 2)
    yield from interleaved_states(start, ((STEP,), (STEP,)), {STEP: CLOSED_ENDINGS})
    for state in sectioned_states(start, ((), MAPLE, INNER), ((DONE, ()), (UNKNOWN, ())), 2):
        yield state
        yield from partly_compensated(state)
        yield from partly_confirmed(state)
        yield from (state.forget(step.address) for step in state.saga.steps)
        yield from (state.lose("maple"), state.lose("maple").pass_pivot())
    for ending in CHILD_ENDINGS:
        state = start.start("seat", STEP).start("payment", CHILD).end("payment", ending)
        yield from partly_compensated(state.start("mail", BEST_EFFORT).start_compensating())


def deep_states(kind_of_ledger: type[Ledger]) -> Iterator[CheckedState]:
    """The states of sagas of six steps with a pivot, and of a pivot between branches."""
    start, pair = initial_state(kind_of_ledger), ((STEP,), (STEP,))
    yield from states_of_branches_around_pivot(
        start, pair, (REJECTED_ENDING,), pair, {STEP: (REJECTED_ENDING,)}
    )
    yield from states_around_pivot(
        start, {STEP: (*CLOSED_ENDINGS, STILL_OPEN)}, ((DONE, ()), REJECTED_ENDING), 6
    )


def check_all(state: CheckedState) -> int:
    """Compares the ledgers of a state, with the plan of each unit."""
    return check(state) + check_units(state)


def test_the_ledger_itself_agrees_with_the_oracle() -> None:
    """The comparison accepts the original, and compares thousands of ledgers."""
    assert sum(map(check_all, sampled_states(Ledger))) == 23_108


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.effect)
def test_every_mutant_is_detected(mutation: Mutation) -> None:
    """By an answer other than the answer of the oracle, or by an error of the ledger."""
    mutant = mutation.mutant()

    with pytest.raises((BrokenPromiseError, DefinitionError)):
        sum(map(check_all, sampled_states(mutant)))


@pytest.mark.parametrize("mutation", DEEP_MUTATIONS, ids=lambda mutation: mutation.effect)
def test_mutants_that_need_large_sagas_are_detected_by_large_sagas(mutation: Mutation) -> None:
    """Smaller sagas do not detect these mutants."""
    mutant = mutation.mutant()
    assert sum(map(check_all, sampled_states(mutant))) == 23_108

    with pytest.raises(BrokenPromiseError):
        sum(map(check_all, deep_states(mutant)))


def test_mutations_are_different() -> None:
    """Each mutation is another change with another effect."""
    mutations = [*MUTATIONS, *DEEP_MUTATIONS]

    assert len({(mutation.text, mutation.replacement) for mutation in mutations}) == len(mutations) == 67 + 2
    assert len({mutation.effect for mutation in mutations}) == len(mutations)
