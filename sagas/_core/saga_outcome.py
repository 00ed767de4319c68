"""The endings of a saga, as values for `match`."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from .lifecycle import ManualResolution
from .outcome import Outcome

T_co = TypeVar("T_co", covariant=True)


class PlannedCompensation(BaseModel):
    """A compensation that would run.

    Args:
        address: The address of the compensated step.
        activity: The type of the compensating activity.
        branch: The number of the branch, where several branches would run in parallel: `1`, `2`; `2.1` is a
            parallel branch inside of branch 2.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    activity: str
    branch: str = ""


class RemainingEffect(BaseModel):
    """An effect that would remain.

    Args:
        address: The address of the step or of an independent saga, or the name of foreign work.
        outcome: The outcome of the step: done, started or unknown. A read-only step has no effect.
        reason: The operator and the reason of a skipped compensation, the reason of a forgotten step, the
            kind of foreign work, or the id of an independent saga; else empty.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Completed(Generic[T_co]):
    """The saga completed, and the effects of the saga are meant to stay.

    A completed child can still be compensated by the parent until the root saga has closed.

    Args:
        result: The value returned by the run method of the saga.
        remaining_effects: Always empty: all effects remain, and `SagaClient.show` lists each step.
    """

    result: T_co
    _: KW_ONLY
    remaining_effects: tuple[RemainingEffect, ...] = ()


@dataclass(frozen=True, slots=True)
class Compensated:
    """The saga failed or was cancelled, and every compensation has run.

    Args:
        code: The code of the first failure, for example `card_declined`; `cancelled` after a cancel. For an
            `ApplicationError` of the workflow, the code is the `type` of the error, and for another error the
            name of the class. After a rescue: `terminated`, `timed_out`, or the type of the workflow's error.
            Empty for a workflow that handled the failure of the saga and returned a result.
        reason: The reason of the first failure, for people.
        field: The input that broke a rule, as a dotted path, if the participant named the field.
        is_cancelled: Whether the saga compensated because the workflow was cancelled.
        rescue_id: The workflow id of the rescue that compensated the saga; None for a saga without a rescue.
        remaining_effects: Effects without a compensation, for example from `best_effort`, and effects from
            before a reset.
    """

    code: str
    _: KW_ONLY
    reason: str = ""
    field: str | None = None
    is_cancelled: bool = False
    rescue_id: str | None = None
    remaining_effects: tuple[RemainingEffect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedStep:
    """A step or child that an operator resolved manually, and the failure that made the saga stuck.

    Args:
        address: The address of the step.
        resolution: The decision of the operator.
        by: The operator; empty if the server no longer keeps the history with the verb.
        because: The reason of the operator.
        code: The code of the last failure of the compensation, the pivot or the later step; may be empty.
        reason: The reason of that failure.
    """

    address: str
    resolution: ManualResolution
    by: str = ""
    because: str = ""
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Settled(Generic[T_co]):
    """The saga ended, and a person resolved at least one step manually.

    Args:
        result: The value returned by the run method; None for a saga that compensated.
        code: As in `Compensated`; empty for a saga that completed.
        is_compensated: Whether the saga compensated; a saga that completed has a `result` instead.
        manual_resolutions: `skipped` or `completed-manually` for each manually resolved step, by address.
        reason: As in `Compensated`.
        field: As in `Compensated`.
        is_cancelled: As in `Compensated`.
        rescue_id: As in `Compensated`.
        remaining_effects: As in `Compensated`, with the effects of skipped compensations; empty for a saga
            that completed.
        resolved_steps: Each manually resolved step with the operator, and with the failure of the step.
    """

    result: T_co | None = None
    code: str = ""
    _: KW_ONLY
    is_compensated: bool
    manual_resolutions: Mapping[str, ManualResolution]
    reason: str = ""
    field: str | None = None
    is_cancelled: bool = False
    rescue_id: str | None = None
    remaining_effects: tuple[RemainingEffect, ...] = ()
    resolved_steps: tuple[ResolvedStep, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """The workflow was terminated, timed out or failed without compensating, and was not rescued.

    `SagaClient.rescue` compensates or resumes the saga. The failure of a workflow without a saga is a
    `CutOff` without pending compensations.

    Args:
        how: How the workflow ended.
        code: The type of the error, for a workflow that failed.
        reason: The reason given for terminating the workflow, or the message of the error.
        pending_compensations: The compensations that a rescue would run, in order; empty once the pivot may
            have happened.
        unresolved_children: The addresses of children with an unknown outcome; `pending_compensations` does
            not include the compensations of these children.
        is_past_pivot: Whether the pivot is done, or may be: a rescue resumes the saga without compensating.
        has_completed: Whether the saga had completed and the workflow was interrupted in the code after the
            saga: the effects stay, and only the result is missing.
        rescue_id: The workflow id of the last rescue, if the rescue was interrupted, too.
        remaining_effects: Effects that no rescue would compensate; empty for a saga that had completed.
    """

    how: Literal["terminated", "timed-out", "failed"]
    code: str = ""
    reason: str = ""
    pending_compensations: tuple[PlannedCompensation, ...] = ()
    unresolved_children: tuple[str, ...] = ()
    is_past_pivot: bool = False
    has_completed: bool = False
    rescue_id: str | None = None
    remaining_effects: tuple[RemainingEffect, ...] = ()


SagaOutcome: TypeAlias = Completed[T_co] | Compensated | Settled[T_co] | CutOff
"""How a saga ended."""
