"""The header of an activity: the purpose, and the compensation of the step.

A saga writes the header of every activity that the saga schedules, at no cost in events. The history alone is
enough for a timeline, a preview of the pending compensations, and a rescue. The header contains names and
policies; business data is only in the input of the activity.
"""

from functools import lru_cache
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload

from .._core.compensation import (
    CompensationOrder,
    CompensationRules,
    CompensationScope,
    CompensationSpec,
    ConfirmationSpec,
    OnStuck,
    SectionSpec,
)
from .._core.effect_class import EffectClass
from .._core.ids import address_of
from .._core.purpose import Purpose
from .._declarations.step import Action, Step
from .stored_model import StoredModel

HEADER = "saga"
"""The name of the header field."""
REJECTED_MEMO = "saga-rejected-results"
"""The memo of a saga whose step was rejected by its result; the value is the code by the address."""
FOREIGN_WORK = "saga-foreign"
"""The name of the header field of work that belongs to no saga, and ran while a saga was open."""
FOREIGN_MARK = Payload(metadata={"encoding": b"json/plain"}, data=b"true")


class ActivityHeader(StoredModel):
    """The header of one activity; the activity id contains the address of the step, see `sagas._core.ids`.

    Args:
        purpose: The purpose of the activity.
        compensation: The compensation of the step.
        rejections: The error types that reject the action.
        scope: The scope of the saga.
        order: The order of the compensations of the saga.
        effect: The effect class of a read-only or irreversible step. None for a step with a compensation, for
            a bare action, and in histories that were recorded without effect classes.
        on_stuck: Whether older compensations of the saga run while a newer one keeps failing.
        sections: The sections around the step, the outermost first.
        lost: For a pivot: the sections of the lost alternatives, which are compensated in any case.
        confirmation: The confirmation of the step.
        unit: For a compensation while the saga goes forward: the address of the compensated section or step.
        is_judged: Whether the workflow judges the result: `REJECTED_MEMO` has the rejected steps.
    """

    left_out = ("on_stuck", "confirmation")

    purpose: Purpose
    compensation: CompensationSpec | None = None
    rejections: tuple[str, ...] = ()
    scope: CompensationScope = CompensationScope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE
    on_stuck: OnStuck = OnStuck.CONTINUE
    sections: tuple[SectionSpec, ...] = ()
    lost: tuple[str, ...] = ()
    unit: str = ""
    is_judged: bool = False
    effect: EffectClass | None = None
    confirmation: ConfirmationSpec | None = None

    @property
    def is_read_only(self) -> bool:
        """Whether the activity has no effect."""
        return self.effect is EffectClass.READ_ONLY


@lru_cache(maxsize=4096)
def action_header(
    action: Step[Any, Any] | Action[Any, Any],
    purpose: Purpose,
    rules: CompensationRules,
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
            scope=rules.scope,
            order=rules.order,
            on_stuck=rules.on_stuck,
            effect=effect_of(action),
            sections=sections,
            lost=lost,
            confirmation=action.confirmation if isinstance(action, Step) else None,
        )
    )


@lru_cache(maxsize=64)
def plain_header(purpose: Purpose, *, unit: str = "", effect: EffectClass | None = None) -> Payload:
    """The header of an activity outside of the ledger, with the unit of a compensation."""
    return _payload(ActivityHeader(purpose=purpose, unit=unit, effect=effect))


def effect_of(action: Step[Any, Any] | Action[Any, Any]) -> EffectClass | None:
    """The effect class for the header of an action; None for a bare action, and beside a compensation."""
    effect = action.effect if isinstance(action, Step) else EffectClass.COMPENSATABLE
    return None if effect is EffectClass.COMPENSATABLE else effect


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
