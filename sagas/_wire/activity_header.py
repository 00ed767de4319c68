"""What a history says of a saga's activities: what each is for, and what would make up for it.

It is written into the header of every activity that a saga schedules, so it costs no event, and from the
history alone one can tell a saga's story, say what it owes, and rescue it. It holds names and policies;
business data is only in the activity's own input.
"""

from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.api.common.v1 import Payload

from .._core.activity_policy import COMPENSATION, Policy
from .._core.compensation import CompensationOrder, Scope
from .._core.ids import address_of
from .._core.purpose import Purpose
from .._declarations.step import Action, MethodAction, Step

HEADER = "saga"
"""The name of the header field."""


class Owes(BaseModel):
    """What makes up for a step: everything that must be known besides the arguments of its action."""

    model_config = ConfigDict(frozen=True)

    activity: str
    takes_result: bool = False
    task_queue: str | None = None
    policy: Policy = COMPENSATION


class Mark(BaseModel):
    """What one activity is for; its address is told by the activity's id, see `sagas._core.ids`."""

    model_config = ConfigDict(frozen=True)

    purpose: Purpose
    owes: Owes | None = None
    rejections: tuple[str, ...] = ()
    scope: Scope = Scope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE


@lru_cache(maxsize=4096)
def mark_of(
    what: Step[Any, Any] | Action[Any, Any] | MethodAction[Any, Any, Any],
    purpose: Purpose,
    scope: Scope,
    order: CompensationOrder,
) -> Payload:
    """The header of an action's activity."""
    makes_up = what.makes_up if isinstance(what, Step) and purpose is not Purpose.RETRIABLE else None
    owes = makes_up and Owes(
        activity=makes_up.call.activity,
        takes_result=makes_up.takes_result,
        task_queue=makes_up.call.task_queue,
        policy=makes_up.call.policy,
    )
    rejections = tuple(sorted(what.call.rejections))
    return _payload(Mark(purpose=purpose, owes=owes, rejections=rejections, scope=scope, order=order))


@lru_cache(maxsize=64)
def plain_mark(purpose: Purpose) -> Payload:
    """The header of an activity of which there is no more to say."""
    return _payload(Mark(purpose=purpose))


def read_mark(payload: Payload) -> Mark:
    """What was written by `mark_of` or `plain_mark`.

    Raises:
        pydantic.ValidationError: It was written by something else.
    """
    return Mark.model_validate_json(payload.data)


def groups_of(activity_id: str | None) -> "list[workflow.EventGroup]":
    """The event group of a step: its action, its probes and its compensation have the same.

    It costs some twenty bytes of history, and replays do not look at it.
    """
    # Experimental in Temporal, so it may be gone in the next version; nothing of ours depends on it.
    create = getattr(workflow, "create_event_group", None)
    return [create(f"step:{address_of(activity_id)}")] if create and activity_id else []


def _payload(mark: Mark) -> Payload:
    return Payload(
        metadata={"encoding": b"json/plain"}, data=mark.model_dump_json(exclude_defaults=True).encode()
    )
