"""Compensations and confirmations as data, and the plan of a saga's compensations."""

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from .activity_policy import COMPENSATION_POLICY, ActivityPolicy
from .effect_class import EffectClass
from .ids import in_parent


class CompensationScope(StrEnum):
    """The steps to compensate in a failed saga; a smaller scope would lose effects."""

    IN_DOUBT = "in-doubt"
    """Steps that are done, and steps with an unknown outcome."""
    ATTEMPTED = "attempted"
    """Rejected steps as well: for participants whose rejections may leave an effect."""


class CompensationOrder(StrEnum):
    """The order of the compensations of a failed saga."""

    REVERSE = "reverse"
    """The newest step first, one after the other."""
    PARALLEL = "parallel"
    """All steps at once: for steps that do not build on each other."""


class OnStuck(StrEnum):
    """The treatment of older compensations while a newer compensation keeps failing."""

    CONTINUE = "continue"
    """The older compensations run: for steps that do not build on each other."""
    WAIT = "wait"
    """The older compensations wait until the newer compensation is done or resolved by an operator."""


class SectionSpec(BaseModel):
    """A section of a saga: steps that are compensated as a unit.

    Args:
        address: The address of the section in the saga.
        order: The order of the compensations of the section.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    order: CompensationOrder = CompensationOrder.REVERSE


@dataclass(frozen=True, slots=True)
class CompensationRules:
    """How a saga compensates.

    Args:
        scope: The steps to compensate.
        order: Sequential or parallel compensation.
        on_stuck: Whether older compensations run while a newer one keeps failing.
    """

    scope: CompensationScope = CompensationScope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE
    on_stuck: OnStuck = OnStuck.CONTINUE


class CompensationSpec(BaseModel):
    """The compensation of a step, apart from the arguments: as declared, and as stored in headers.

    Args:
        activity: The activity type.
        takes_result: Whether the activity takes the result of the action after the message.
        task_queue: The task queue of the workers, where different from the task queue of the saga.
        policy: Timeouts and retries.
    """

    model_config = ConfigDict(frozen=True)

    activity: str
    takes_result: bool = False
    task_queue: str | None = None
    policy: ActivityPolicy = COMPENSATION_POLICY

    def to_pending(self, address: str, message: object) -> "PendingCompensation":
        """The compensation of one execution of the step; created before the action starts.

        Args:
            address: The address of the step.
            message: The message of the action.
        """
        return PendingCompensation(
            address=address,
            activity=self.activity,
            arguments=(message, None) if self.takes_result else (message,),
            takes_result=self.takes_result,
            task_queue=self.task_queue,
            policy=self.policy,
        )


class PendingCompensation(BaseModel):
    """The compensation of one execution of a step, as data for parents, memos, previews and rescues."""

    model_config = ConfigDict(frozen=True)

    address: str
    activity: str
    arguments: tuple[object, ...]
    takes_result: bool = False
    task_queue: str | None = None
    policy: ActivityPolicy = COMPENSATION_POLICY


class ConfirmationSpec(CompensationSpec):
    """The confirmation of a step, apart from the arguments: as declared, and as stored in headers."""

    def to_pending(self, address: str, message: object) -> "PendingConfirmation":
        """The confirmation of one execution of the step; created before the action starts."""
        return PendingConfirmation.model_validate(dict(super().to_pending(address, message)))


class PendingConfirmation(PendingCompensation):
    """The confirmation of one execution of a step: runs once the saga can no longer fail."""


class StepAfterCompensation(PendingCompensation):
    """A step to run after all compensations, with the effect class of a read-only or irreversible step."""

    effect: EffectClass | None = None

    @model_serializer(mode="wrap")
    def _leave_out_default(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Writes the effect class only where the step has a class."""
        fields: dict[str, object] = serialize(self)
        return {name: value for name, value in fields.items() if name != "effect" or value is not None}


class ParallelCompensations(BaseModel):
    """Branches of compensations that may run at the same time, each branch in order."""

    model_config = ConfigDict(frozen=True)

    branches: tuple[tuple["PlanItem", ...], ...]


PlanItem = PendingCompensation | ParallelCompensations
"""An element of a plan; the elements of a plan run one after the other."""


def flatten(plan: Iterable[PlanItem]) -> Iterator[PendingCompensation]:
    """Every compensation of a plan, in order."""
    for item in plan:
        if isinstance(item, PendingCompensation):
            yield item
        else:
            for branch in item.branches:
                yield from flatten(branch)


def select(plan: Iterable[PlanItem], is_wanted: Callable[[str], bool]) -> tuple[PlanItem, ...]:
    """The compensations of a plan with the wanted addresses, in the same order."""
    items: list[PlanItem] = []
    for item in plan:
        if isinstance(item, PendingCompensation):
            if is_wanted(item.address):
                items.append(item)
        elif branches := tuple(kept for branch in item.branches if (kept := select(branch, is_wanted))):
            items.append(ParallelCompensations(branches=branches))
    return tuple(items)


def confirmations_in_parent(
    child: str, confirmations: Iterable[PendingConfirmation], task_queue: str | None
) -> tuple[PendingConfirmation, ...]:
    """The confirmations of a child with the addresses in the parent; arguments as in `plan_in_parent`."""
    return tuple(
        each.model_copy(
            update={"address": in_parent(child, each.address), "task_queue": each.task_queue or task_queue}
        )
        for each in confirmations
    )


def waiting_behind(plan: Iterable[PlanItem], failing: Container[str]) -> dict[str, str]:
    """The compensations of a plan that wait with `OnStuck.WAIT`, each with the first failing one before.

    Args:
        plan: The plan.
        failing: The addresses of the failing compensations.
    """
    waiting: dict[str, str] = {}
    behind: str | None = None
    for item in plan:
        addresses = [each.address for each in flatten((item,))]
        if behind is not None:
            waiting |= dict.fromkeys(addresses, behind)
            continue
        if isinstance(item, ParallelCompensations):
            for of_branch in [waiting_behind(branch, failing) for branch in item.branches]:
                waiting |= of_branch
        behind = next((address for address in addresses if address in failing), None)
    return waiting


def plan_in_parent(child: str, plan: tuple[PlanItem, ...], task_queue: str | None) -> tuple[PlanItem, ...]:
    """The plan of a child as part of the plan of the parent: with the addresses in the parent.

    Args:
        child: The address of the child.
        plan: The plan of the child.
        task_queue: The task queue of the child, where different from the task queue of the parent.
    """
    return tuple(
        item.model_copy(
            update={
                "address": in_parent(child, item.address),
                "task_queue": item.task_queue or task_queue,
            }
        )
        if isinstance(item, PendingCompensation)
        else ParallelCompensations(
            branches=tuple(plan_in_parent(child, branch, task_queue) for branch in item.branches)
        )
        for item in plan
    )
