"""Enumerates the states of a saga, and keeps the ledger and the oracle of each state.

The generators enumerate all states of a kind; `check` compares the ledger with the oracle in one state. The
class of the ledger is a parameter, so that a mutant can take the place of the ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import TypeAlias

from sagas import CompensationOrder, CompensationScope
from sagas._core.compensation import (
    ParallelCompensations,
    PendingCompensation,
    PendingConfirmation,
    PlanItem,
    SectionSpec,
    flatten,
)
from sagas._core.ids import in_parent
from sagas._core.ledger import Ledger
from sagas._core.outcome import Outcome

from . import oracle
from .oracle import ExpectedStep, Path, PlanShape, SagaState, StepKind

POLICIES = tuple(product(CompensationScope, CompensationOrder))
"""Each state has one ledger for each of these policies."""
NAMES = ("seat", "seat", "card", "seat", "mail", "bike")
"""The names of sequential steps: with repetitions, and not in a sorted order."""
DONE, REJECTED, UNKNOWN, WITHDRAWN = Outcome.DONE, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.WITHDRAWN

Ending: TypeAlias = "tuple[Outcome, PlanShape]"
"""The outcome of a step, and the pending compensations of a completed child."""
CLOSED_ENDINGS: tuple[Ending, ...] = ((DONE, ()), (REJECTED, ()), (UNKNOWN, ()), (WITHDRAWN, ()))
STILL_OPEN: Ending = (Outcome.STARTED, ())


class BrokenPromiseError(AssertionError):
    """The ledger and the oracle disagree on a state of a saga."""


@dataclass(frozen=True, slots=True)
class CheckedState:
    """One state of a saga: the state for the oracle, and a ledger for each of the policies."""

    saga: SagaState
    ledgers: tuple[Ledger, ...]
    names: tuple[str, ...] = field(default=())

    def start(self, name: str, kind: StepKind, path: Path = ()) -> "CheckedState":
        """Starts a step, in a section where `path` is not empty."""
        address = oracle.addresses((*self.names, name))[-1]
        ledgers = self._copied_ledgers()
        for ledger in ledgers:
            if (given := ledger.next_address(name)) != address:
                raise BrokenPromiseError(f"{given!r} instead of {address!r} in {self.saga}")
            ledger.start(
                address,
                _compensation(address, kind),
                is_child=kind is StepKind.CHILD,
                is_best_effort=kind is StepKind.BEST_EFFORT,
                is_read_only=kind is StepKind.READ_ONLY,
                sections=tuple(SectionSpec(address=section, order=order) for section, order in path),
            )
            if (compensation := _compensation(address, kind)) is not None:
                ledger.add_confirmation(address, _confirmation(compensation))
        saga = replace(self.saga, steps=(*self.saga.steps, ExpectedStep(address, kind, path=path)))
        return CheckedState(saga, ledgers, (*self.names, name))

    def end(self, address: str, ending: Ending) -> "CheckedState":
        """Ends an open step; a saga whose pivot is done is past the pivot."""
        outcome, pending = ending
        steps = self.saga.steps
        place = next(n for n, part in enumerate(steps) if part.address == address)
        kind, pending = steps[place].kind, _with_child_prefix(address, pending)
        ledgers = self._copied_ledgers()
        for ledger in ledgers:
            if outcome is not DONE:
                ledger.fail(address, outcome)
            elif kind is StepKind.CHILD:
                plan = _plan_items(pending)
                ledger.complete_child(address, plan, tuple(map(_confirmation, flatten(plan))))
            else:
                ledger.complete(address, oracle.result_of(address))
        ended = replace(steps[place], outcome=outcome, pending=pending)
        saga = replace(self.saga, steps=(*steps[:place], ended, *steps[place + 1 :]))
        state = CheckedState(saga, ledgers, self.names)
        return state._pass_pivot() if kind is StepKind.PIVOT and outcome is DONE else state

    def start_compensating(self) -> "CheckedState":
        """Starts compensating."""
        return replace(self, saga=replace(self.saga, is_compensating=True), ledgers=self._copied_ledgers())

    def mark_compensated(self, addresses: Sequence[str]) -> "CheckedState":
        """Marks compensations as done."""
        ledgers = self._copied_ledgers()
        for ledger, address in product(ledgers, addresses):
            ledger.mark_compensated(address)
        return replace(
            self, saga=replace(self.saga, compensated=self.saga.compensated.union(addresses)), ledgers=ledgers
        )

    def mark_confirmed(self, addresses: Sequence[str]) -> "CheckedState":
        """Marks confirmations as done."""
        ledgers = self._copied_ledgers()
        for ledger, address in product(ledgers, addresses):
            ledger.mark_confirmed(address)
        return replace(
            self, saga=replace(self.saga, confirmed=self.saga.confirmed.union(addresses)), ledgers=ledgers
        )

    def forget(self, address: str) -> "CheckedState":
        """Drops the compensation of a step."""
        ledgers = self._copied_ledgers()
        for ledger in ledgers:
            ledger.forget(address)
        steps = tuple(
            replace(step, is_forgotten=step.is_forgotten or step.address == address)
            for step in self.saga.steps
        )
        return replace(self, saga=replace(self.saga, steps=steps), ledgers=ledgers)

    def lose(self, section: str) -> "CheckedState":
        """Records that the alternative of a section has lost."""
        ledgers = self._copied_ledgers()
        for ledger in ledgers:
            ledger.lose(section)
        steps = tuple(
            replace(step, is_lost=step.is_lost or section in dict(step.path)) for step in self.saga.steps
        )
        return replace(self, saga=replace(self.saga, steps=steps), ledgers=ledgers)

    def pass_pivot(self) -> "CheckedState":
        """Starts and ends the pivot."""
        names = (*self.names, "pay")
        started = self.start("pay", StepKind.PIVOT)
        return started.end(oracle.addresses(names)[-1], (DONE, ()))

    def _pass_pivot(self) -> "CheckedState":
        return replace(self, saga=replace(self.saga, is_past_pivot=True))

    def _copied_ledgers(self) -> tuple[Ledger, ...]:
        return tuple(
            type(one)(
                one.scope,
                one.order,
                dict(one.entries),
                set(one.compensated),
                dict(one.address_counts),
                set(one.lost),
                confirmed=set(one.confirmed),
            )
            for one in self.ledgers
        )


def initial_state(kind_of_ledger: type[Ledger] = Ledger) -> CheckedState:
    """The state of a saga without any step."""
    return CheckedState(SagaState(), tuple(kind_of_ledger(scope, order) for scope, order in POLICIES))


def check(state: CheckedState) -> int:
    """Compares the ledgers of a state with the oracle; returns the number of ledgers.

    Raises:
        BrokenPromiseError: A ledger and the oracle disagree.
    """
    saga = state.saga
    arguments = oracle.expected_arguments(saga)
    for ledger, (scope, order) in zip(state.ledgers, POLICIES, strict=True):
        names, pairs = oracle.precedence(oracle.expected_plan(saga, scope, order))
        if saga.compensated:
            names = [name for name in names if name not in saga.compensated]
            pairs = {pair for pair in pairs if saga.compensated.isdisjoint(pair)}
        plan = ledger.plan(is_past_pivot=saga.is_past_pivot)
        pending = ledger.pending(is_past_pivot=saga.is_past_pivot)
        found = (
            oracle.precedence(_shape(plan)),
            [one.address for one in pending],
            [one.arguments for one in pending],
            ledger.unresolved_children(),
            () if saga.is_past_pivot else ledger.steps_in_doubt(),
            [(one.address, one.arguments) for one in ledger.confirmations()],
        )
        expected = (
            (names, pairs),
            names,
            [arguments.get(name, ("message",)) for name in names],
            oracle.unresolved_children(saga),
            () if saga.is_past_pivot else oracle.steps_in_doubt(saga, scope),
            oracle.expected_confirmations(saga),
        )
        if found != expected or tuple(flatten(plan)) != pending:
            raise BrokenPromiseError(f"{scope}, {order}: {found} instead of {expected} in {saga}")
    return len(state.ledgers)


def check_units(state: CheckedState) -> int:
    """Compares the plan of each section and of each step with the oracle; returns the number of plans.

    Raises:
        BrokenPromiseError: A ledger and the oracle disagree.
    """
    saga, count = state.saga, 0
    sections = {section for step in saga.steps for section, _ in step.path}
    for ledger, (scope, _) in zip(state.ledgers, POLICIES, strict=True):
        units = [(each, oracle.expected_plan_of(saga, each, scope)) for each in sections]
        units += [(step.address, oracle.expected_effects(step, scope)) for step in saga.steps]
        for unit, shape in units:
            names, pairs = oracle.precedence(shape)
            names = [name for name in names if name not in saga.compensated]
            pairs = {pair for pair in pairs if saga.compensated.isdisjoint(pair)}
            found = oracle.precedence(_shape(ledger.plan_of(unit)))
            if found != (names, pairs):
                raise BrokenPromiseError(f"{unit}, {scope}: {found} instead of {names}, {pairs} in {saga}")
            count += 1
    return count


def sectioned_states(
    state: CheckedState, paths: Sequence[Path], endings: Sequence[Ending], length: int
) -> Iterator[CheckedState]:
    """Enumerates the sagas of up to `length` steps, each outside or inside of sections, in any order.

    Steps of parallel sections alternate.
    """
    yield state
    if length == 0:
        return
    for path in paths:
        started = state.start(NAMES[len(state.names)], StepKind.STEP, path)
        for ending in endings:
            ended = started if ending is STILL_OPEN else started.end(started.saga.steps[-1].address, ending)
            yield from sectioned_states(ended, paths, endings, length - 1)


def sequential_states(
    state: CheckedState, endings: Mapping[StepKind, Sequence[Ending]], length: int
) -> Iterator[CheckedState]:
    """Enumerates the sagas of up to `length` steps, each of which ends before the next starts, or stays open.

    No step starts while the pivot is open, and there is no second pivot after a pivot is done.
    """
    yield state
    if length == 0:
        return
    for kind, endings_of_kind in endings.items():
        if kind is StepKind.PIVOT and state.saga.is_past_pivot:
            continue
        started = state.start(NAMES[len(state.names)], kind)
        address = started.saga.steps[-1].address
        for ending in endings_of_kind:
            if ending is not STILL_OPEN:
                yield from sequential_states(started.end(address, ending), endings, length - 1)
            elif kind is StepKind.PIVOT:
                yield started
            else:
                yield from sequential_states(started, endings, length - 1)


Branch: TypeAlias = "tuple[StepKind, ...]"


def interleaved_states(
    state: CheckedState,
    branches: tuple[Branch, ...],
    endings: Mapping[StepKind, Sequence[Ending]],
    *,
    open_steps: Mapping[int, str] | None = None,
) -> Iterator[CheckedState]:
    """Enumerates the orders in which the steps of branches can start and end, and compensating can start.

    The steps of a branch are sequential. After the saga has started compensating, open steps end and no step
    starts. A saga past the pivot does not compensate.
    """
    yield state
    open_steps = open_steps or {}
    for number, branch in enumerate(branches):
        if number in open_steps:
            address = open_steps[number]
            kind = next(part.kind for part in state.saga.steps if part.address == address)
            rest = {other: where for other, where in open_steps.items() if other != number}
            for ending in endings[kind]:
                yield from interleaved_states(state.end(address, ending), branches, endings, open_steps=rest)
        elif branch and not state.saga.is_compensating:
            started = state.start(f"branch-{'zyx'[number]}", branch[0])
            now = {**open_steps, number: started.saga.steps[-1].address}
            rest_of_branch = (*branches[:number], branch[1:], *branches[number + 1 :])
            yield from interleaved_states(started, rest_of_branch, endings, open_steps=now)
    if not state.saga.is_compensating and not state.saga.is_past_pivot:
        yield from interleaved_states(state.start_compensating(), branches, endings, open_steps=open_steps)


def partly_compensated(state: CheckedState) -> Iterator[CheckedState]:
    """Enumerates the states with any subset of the compensations done."""
    every, _ = oracle.precedence(
        oracle.expected_plan(state.saga, CompensationScope.ATTEMPTED, CompensationOrder.REVERSE)
    )  # includes effects that only this scope compensates: for the other scope they must not matter
    for count in range(len(every) + 1):
        for done in combinations(every, count):
            yield state.mark_compensated(done)


def partly_confirmed(state: CheckedState) -> Iterator[CheckedState]:
    """Enumerates the states with any subset of the confirmations done."""
    every = [address for address, _ in oracle.expected_confirmations(state.saga)]
    for count in range(len(every) + 1):
        for done in combinations(every, count):
            yield state.mark_confirmed(done)


def plan_shapes(effects: tuple[str, ...]) -> list[PlanShape]:
    """All plans for effects in this order: sequential and parallel, in every nesting."""
    if len(effects) < 2:
        return [effects]
    return [*_grouped(effects, is_sequential=True), *_grouped(effects, is_sequential=False)]


def _grouped(effects: tuple[str, ...], *, is_sequential: bool) -> Iterator[PlanShape]:
    size = len(effects)
    cuts = (c for count in range(1, size) for c in combinations(range(1, size), count))
    for cut in cuts:
        blocks = [effects[a:b] for a, b in zip((0, *cut), (*cut, size), strict=True)]
        ways = [
            [block[0]] if len(block) == 1 else list(_grouped(block, is_sequential=not is_sequential))
            for block in blocks
        ]
        for steps in product(*ways):
            yield steps if is_sequential else list(steps)


def _compensation(address: str, kind: StepKind) -> PendingCompensation | None:
    if kind not in (StepKind.STEP, StepKind.BEST_EFFORT):
        return None
    takes_result = kind is StepKind.STEP
    return PendingCompensation(
        address=address,
        activity="compensate",
        arguments=("message", None) if takes_result else ("message",),
        takes_result=takes_result,
    )


def _confirmation(compensation: PendingCompensation) -> PendingConfirmation:
    fields = {**dict(compensation), "activity": "confirm"}
    return PendingConfirmation.model_validate(fields)


def _plan_items(shape: PlanShape) -> tuple[PlanItem, ...]:
    """The plan that a child returns to the parent."""
    if isinstance(shape, str):
        return (PendingCompensation(address=shape, activity="compensate", arguments=("message",)),)
    if isinstance(shape, tuple):
        return tuple(one for part in shape for one in _plan_items(part))
    return (ParallelCompensations(branches=tuple(_plan_items(lane) for lane in shape)),)


def _shape(plan: tuple[PlanItem, ...]) -> PlanShape:
    return tuple(
        part.address if isinstance(part, PendingCompensation) else [_shape(lane) for lane in part.branches]
        for part in plan
    )


def _with_child_prefix(child: str, shape: PlanShape) -> PlanShape:
    if isinstance(shape, str):
        return in_parent(child, shape)
    steps = [_with_child_prefix(child, part) for part in shape]
    return tuple(steps) if isinstance(shape, tuple) else steps
