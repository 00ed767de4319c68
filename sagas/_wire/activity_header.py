"""The header of an activity: the purpose, and the compensation of the step.

A saga writes the header of every activity that the saga schedules, at no cost in events. The history alone is
enough for a timeline, a preview of the pending compensations, and a rescue. The header contains names and
policies; business data is only in the input of the activity.
"""

from functools import lru_cache
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload

from .._core.compensation import CompensationOrder, CompensationScope, CompensationSpec, SectionSpec
from .._core.ids import address_of
from .._core.purpose import Purpose
from .._declarations.step import Action, Step
from .stored_model import StoredModel

HEADER = "saga"
"""The name of the header field."""
REJECTED_MEMO = "saga-rejected-results"
"""The memo of a saga whose step was rejected by its result; the value is the code by the address."""


class ActivityHeader(StoredModel):
    """The header of one activity; the activity id contains the address of the step, see `sagas._core.ids`.

    Args:
        purpose: The purpose of the activity.
        compensation: The compensation of the step.
        rejections: The error types that reject the action.
        scope: The scope of the saga.
        order: The order of the compensations of the saga.
        sections: The sections around the step, the outermost first.
        lost: For a pivot: the sections of the lost alternatives, which are compensated in any case.
        unit: For a compensation while the saga goes forward: the address of the compensated section or step.
        is_judged: Whether the workflow judges the result: `REJECTED_MEMO` has the rejected steps.
    """

    purpose: Purpose
    compensation: CompensationSpec | None = None
    rejections: tuple[str, ...] = ()
    scope: CompensationScope = CompensationScope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE
    sections: tuple[SectionSpec, ...] = ()
    lost: tuple[str, ...] = ()
    unit: str = ""
    is_judged: bool = False


@lru_cache(maxsize=4096)
def action_header(
    action: Step[Any, Any] | Action[Any, Any],
    purpose: Purpose,
    scope: CompensationScope,
    order: CompensationOrder,
    sections: tuple[SectionSpec, ...] = (),
    lost: tuple[str, ...] = (),
) -> Payload:
    """The header of the activity of an action."""
    # After the pivot nothing is compensated.
    compensation = (
        action.compensation if isinstance(action, Step) and purpose is not Purpose.RETRIABLE else None
    )
    return _payload(
        ActivityHeader(
            purpose=purpose,
            compensation=compensation,
            rejections=tuple(sorted(action.call.rejections)),
            is_judged=action.call.rejected_when is not None,
            scope=scope,
            order=order,
            sections=sections,
            lost=lost,
        )
    )


@lru_cache(maxsize=64)
def plain_header(purpose: Purpose, unit: str = "") -> Payload:
    """The header of an activity with only a purpose, and the unit of a compensation."""
    return _payload(ActivityHeader(purpose=purpose, unit=unit))


def read_header(payload: Payload) -> ActivityHeader:
    """Reads a header of `action_header` or `plain_header`.

    Raises:
        pydantic.ValidationError: The header is not the header of a saga's activity.
        WireFormatError: Another version of this SDK wrote the header.
    """
    return ActivityHeader.model_validate_json(payload.data)


def event_groups_of(activity_id: str | None) -> "list[workflow.EventGroup]":
    """The event group of a step, shared by the action, the probes and the compensation.

    An event group takes about twenty bytes of history, and replays ignore event groups.
    """
    # Experimental in Temporal: the function may be missing from the next version.
    create = getattr(workflow, "create_event_group", None)
    return [create(f"step:{address_of(activity_id)}")] if create and activity_id else []


def _payload(header: ActivityHeader) -> Payload:
    return Payload(
        metadata={"encoding": b"json/plain"}, data=header.model_dump_json(exclude_defaults=True).encode()
    )
