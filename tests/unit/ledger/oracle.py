"""The promises about compensation, written independently of the ledger.

- P2: a saga completes only if the outcome of each step is known (`steps_in_doubt`).
- P4: exactly the actions that may have happened are compensated (`expected_effects`).
- P5: the step that started last is compensated first, unless the saga compensates in parallel; the
  compensations of a child keep the order of the child, and a section is one unit (`expected_plan`).
- P6: a saga past the pivot compensates only the steps of lost alternatives (`expected_plan`).
- P6: exactly the steps whose effect stays are confirmed, in the order of their start
  (`expected_confirmations`).
- P8: a child with an unknown outcome may have pending compensations (`unresolved_children`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import TypeAlias

from sagas import CompensationOrder, CompensationScope
from sagas._core.outcome import Outcome

PlanShape: TypeAlias = "str | tuple[PlanShape, ...] | list[PlanShape]"
"""The shape of a plan: one effect, a tuple of sequential parts, or a list of parallel parts."""

MAY_HAVE_HAPPENED = (Outcome.STARTED, Outcome.DONE, Outcome.UNKNOWN)
"""P4: the outcomes without proof of the contrary, also of a step that is open when compensating starts."""


class StepKind(StrEnum):
    """The kinds of steps in a saga."""

    STEP = "step"
    """A step whose compensation takes the result."""
    BEST_EFFORT = "best-effort"
    """A best effort whose compensation takes no result."""
    BARE = "step without compensation"
    """A step of a history without effect classes."""
    READ_ONLY = "read-only step"
    """A step without an effect."""
    CHILD = "child"
    PIVOT = "pivot"


Path: TypeAlias = "tuple[tuple[str, CompensationOrder], ...]"
"""The sections around a step with their orders, the outermost first."""


@dataclass(frozen=True, slots=True)
class ExpectedStep:
    """A step, a child or the pivot, with its outcome."""

    address: str
    kind: StepKind
    outcome: Outcome = Outcome.STARTED
    pending: PlanShape = ()
    """The pending compensations of a completed child."""
    path: Path = ()
    is_forgotten: bool = False
    is_lost: bool = False
    """Whether another alternative than the alternative of the step has won."""


@dataclass(frozen=True, slots=True)
class SagaState:
    """The state of a saga.

    Args:
        steps: The steps in the order of their start.
        is_past_pivot: Whether the pivot is done.
        is_compensating: Whether the saga has started compensating.
        compensated: The effects whose compensation is done.
        confirmed: The effects whose confirmation is done.
    """

    steps: tuple[ExpectedStep, ...] = ()
    is_past_pivot: bool = False
    is_compensating: bool = False
    compensated: frozenset[str] = frozenset()
    confirmed: frozenset[str] = frozenset()


def expected_effects(step: ExpectedStep, scope: CompensationScope) -> PlanShape:
    """P4: the effects of a step that must be compensated."""
    if step.kind is StepKind.CHILD:
        # A failed child has compensated by itself; the effects of an unresolved child are unknown.
        return step.pending if step.outcome is Outcome.DONE else ()
    if step.kind in (StepKind.BARE, StepKind.READ_ONLY, StepKind.PIVOT) or step.is_forgotten:
        return ()
    counts_rejections = scope is CompensationScope.ATTEMPTED and step.outcome is Outcome.REJECTED
    return step.address if step.outcome in MAY_HAVE_HAPPENED or counts_rejections else ()


def expected_plan(saga: SagaState, scope: CompensationScope, order: CompensationOrder) -> PlanShape:
    """P5 and P6: the plan of all compensations, done compensations included."""
    steps = [step for step in saga.steps if step.is_lost] if saga.is_past_pivot else saga.steps
    return _expected_units(steps, (), scope, order)


def expected_plan_of(saga: SagaState, section: str, scope: CompensationScope) -> PlanShape:
    """P5 inside of a section: the plan of the compensations of the section."""
    inside = [step for step in saga.steps if section in dict(step.path)]
    names = [name for name, _ in inside[0].path]
    path = inside[0].path[: names.index(section) + 1]
    return _expected_units(inside, path, scope, path[-1][1])


def _expected_units(
    steps: Sequence[ExpectedStep], path: Path, scope: CompensationScope, order: CompensationOrder
) -> PlanShape:
    """The units of a saga or of a section: the steps, and the sections directly inside."""
    units: list[PlanShape] = []
    seen: set[str] = set()
    for step in steps:
        if step.path == path:
            units.append(expected_effects(step, scope))
            continue
        name, inner = step.path[len(path)]
        if name not in seen:
            seen.add(name)
            members = [other for other in steps if name in dict(other.path)]
            units.append(_expected_units(members, (*path, (name, inner)), scope, inner))
    newest_first = units[::-1]
    return newest_first if order is CompensationOrder.PARALLEL else tuple(newest_first)


def expected_arguments(saga: SagaState) -> dict[str, tuple[object, ...]]:
    """The arguments of compensations: message and result, or the message only."""
    return {
        step.address: ("message", result_of(step.address) if step.outcome is Outcome.DONE else None)
        for step in saga.steps
        if step.kind is StepKind.STEP
    }


def expected_confirmations(saga: SagaState) -> list[tuple[str, tuple[object, ...]]]:
    """P6: the pending confirmations with their arguments; only a step needs the result."""
    found: list[tuple[str, tuple[object, ...]]] = []
    for step in saga.steps:
        if step.outcome is not Outcome.DONE or step.is_lost or step.is_forgotten:
            continue
        if step.kind is StepKind.STEP:
            found.append((step.address, ("message", result_of(step.address))))
        elif step.kind is StepKind.BEST_EFFORT:
            found.append((step.address, ("message",)))
        elif step.kind is StepKind.CHILD:
            found += [(effect, ("message",)) for effect in precedence(step.pending)[0]]
    return [each for each in found if each[0] not in saga.compensated | saga.confirmed]


def result_of(address: str) -> str:
    """The result of the action of a step."""
    return f"result of {address}"


def unresolved_children(saga: SagaState) -> tuple[str, ...]:
    """P8: the children with unknown pending compensations."""
    without_result = (Outcome.STARTED, Outcome.UNKNOWN)
    return tuple(p.address for p in saga.steps if p.kind is StepKind.CHILD and p.outcome in without_result)


def steps_in_doubt(saga: SagaState, scope: CompensationScope) -> tuple[str, ...]:
    """P2: the steps with a possible unexpected effect; a saga with a step in doubt cannot complete.

    A best effort may end with any outcome, and a read-only step leaves no effect. A rejection may leave an
    effect if the scope compensates rejected actions and the action has a compensation. An open step is not
    known to be done. A compensated step has no effect, and a step of a lost alternative is compensated in any
    case.
    """
    return tuple(
        step.address
        for step in saga.steps
        if step.kind not in (StepKind.BEST_EFFORT, StepKind.READ_ONLY)
        and step.address not in saga.compensated
        and not step.is_lost
        and (
            step.outcome in (Outcome.UNKNOWN, Outcome.STARTED)
            or (step.outcome is Outcome.REJECTED and expected_effects(step, scope) != ())
        )
    )


def addresses(names: tuple[str, ...]) -> tuple[str, ...]:
    """P3: the unique addresses of steps with these names, in the order of their start."""
    return tuple(
        name if (count := names[: n + 1].count(name)) == 1 else f"{name}#{count}"
        for n, name in enumerate(names)
    )


def precedence(shape: PlanShape) -> tuple[list[str], set[tuple[str, str]]]:
    """The effects of a plan in order, and the pairs of which the first must end before the second starts."""
    if isinstance(shape, str):
        return [shape], set()
    names: list[str] = []
    pairs: set[tuple[str, str]] = set()
    for step in shape:
        if isinstance(step, str):
            more = [step]
        else:
            more, within = precedence(step)
            pairs |= within
        if isinstance(shape, tuple):
            pairs.update(product(names, more))
        names += more
    return names, pairs
