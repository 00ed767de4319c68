"""Compensations as data, and the plan in which they run."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from .activity_policy import COMPENSATION, ActivityPolicy
from .ids import in_parent


class CompensationScope(StrEnum):
    """Which steps of a failed saga are compensated; fewer than these would lose effects."""

    IN_DOUBT = "in-doubt"
    """Those that are done, and those of which nobody knows."""
    ATTEMPTED = "attempted"
    """Those that were rejected as well: for participants whose refusals may leave something behind."""


class CompensationOrder(StrEnum):
    """In which order the steps of a failed saga are made up for."""

    REVERSE = "reverse"
    """The newest first, one after the other."""
    PARALLEL = "parallel"
    """All at once: for steps that do not build on each other."""


class PendingCompensation(BaseModel):
    """What makes up for one step, as data: it can be carried to a parent, stored, previewed and rescued."""

    model_config = ConfigDict(frozen=True)

    address: str
    activity: str
    arguments: tuple[object, ...]
    takes_result: bool = False
    task_queue: str | None = None
    policy: ActivityPolicy = COMPENSATION


class ParallelCompensations(BaseModel):
    """What can be made up for at the same time: several lanes, each in its own order."""

    model_config = ConfigDict(frozen=True)

    lanes: tuple[tuple["PlanItem", ...], ...]


PlanItem = PendingCompensation | ParallelCompensations
"""A part of what is owed; where there are several, the first of them comes first."""


def flatten(owed: Iterable[PlanItem]) -> Iterator[PendingCompensation]:
    """Every compensation in it, in their order."""
    for part in owed:
        if isinstance(part, PendingCompensation):
            yield part
        else:
            for lane in part.lanes:
                yield from flatten(lane)


def select(owed: Iterable[PlanItem], is_wanted: Callable[[str], bool]) -> tuple[PlanItem, ...]:
    """The parts of it whose addresses are wanted, in the same order."""
    parts: list[PlanItem] = []
    for part in owed:
        if isinstance(part, PendingCompensation):
            if is_wanted(part.address):
                parts.append(part)
        elif lanes := tuple(kept for lane in part.lanes if (kept := select(lane, is_wanted))):
            parts.append(ParallelCompensations(lanes=lanes))
    return tuple(parts)


def plan_in_parent(child: str, owed: tuple[PlanItem, ...], task_queue: str | None) -> tuple[PlanItem, ...]:
    """What a child owes, as its parent has it: with the addresses that it has there, and sent to its workers.

    Args:
        child: Its address.
        owed: As the child has it.
        task_queue: Where its workers listen, where that is not where the parent's do.
    """
    return tuple(
        part.model_copy(
            update={
                "address": in_parent(child, part.address),
                "task_queue": part.task_queue or task_queue,
            }
        )
        if isinstance(part, PendingCompensation)
        else ParallelCompensations(
            lanes=tuple(plan_in_parent(child, lane, task_queue) for lane in part.lanes)
        )
        for part in owed
    )
