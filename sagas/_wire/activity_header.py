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

from .._core.activity_policy import COMPENSATION, ActivityPolicy
from .._core.compensation import CompensationOrder, CompensationScope, PendingCompensation
from .._core.ids import address_of
from .._core.purpose import Purpose
from .._declarations.step import Action, MethodAction, Step

HEADER = "saga"
"""The name of the header field."""


class CompensationSpec(BaseModel):
    """What makes up for a step: everything that must be known besides the arguments of its action."""

    model_config = ConfigDict(frozen=True)

    activity: str
    takes_result: bool = False
    task_queue: str | None = None
    policy: ActivityPolicy = COMPENSATION

    def to_pending(self, address: str, message: object) -> PendingCompensation:
        """Makes the pending compensation of a step whose action is about to start.

        Args:
            address: The address of the step.
            message: The argument of the action.
        """
        return PendingCompensation(
            address=address,
            activity=self.activity,
            arguments=(message, None) if self.takes_result else (message,),
            takes_result=self.takes_result,
            task_queue=self.task_queue,
            policy=self.policy,
        )


class ActivityHeader(BaseModel):
    """What one activity is for; its address is told by the activity's id, see `sagas._core.ids`."""

    model_config = ConfigDict(frozen=True)

    purpose: Purpose
    owes: CompensationSpec | None = None
    rejections: tuple[str, ...] = ()
    scope: CompensationScope = CompensationScope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE


@lru_cache(maxsize=4096)
def action_header(
    what: Step[Any, Any] | Action[Any, Any] | MethodAction[Any, Any, Any],
    purpose: Purpose,
    scope: CompensationScope,
    order: CompensationOrder,
) -> Payload:
    """The header of an action's activity."""
    compensation = what.compensation if isinstance(what, Step) and purpose is not Purpose.RETRIABLE else None
    owes = compensation and CompensationSpec(
        activity=compensation.call.activity,
        takes_result=compensation.takes_result,
        task_queue=compensation.call.task_queue,
        policy=compensation.call.policy,
    )
    rejections = tuple(sorted(what.call.rejections))
    return _payload(
        ActivityHeader(purpose=purpose, owes=owes, rejections=rejections, scope=scope, order=order)
    )


@lru_cache(maxsize=64)
def plain_header(purpose: Purpose) -> Payload:
    """The header of an activity of which there is no more to say."""
    return _payload(ActivityHeader(purpose=purpose))


def read_header(payload: Payload) -> ActivityHeader:
    """What was written by `action_header` or `plain_header`.

    Raises:
        pydantic.ValidationError: It was written by something else.
    """
    return ActivityHeader.model_validate_json(payload.data)


def event_groups_of(activity_id: str | None) -> "list[workflow.EventGroup]":
    """The event group of a step: its action, its probes and its compensation have the same.

    It costs some twenty bytes of history, and replays do not look at it.
    """
    # Experimental in Temporal, so it may be gone in the next version; nothing of ours depends on it.
    create = getattr(workflow, "create_event_group", None)
    return [create(f"step:{address_of(activity_id)}")] if create and activity_id else []


def _payload(mark: ActivityHeader) -> Payload:
    return Payload(
        metadata={"encoding": b"json/plain"}, data=mark.model_dump_json(exclude_defaults=True).encode()
    )
