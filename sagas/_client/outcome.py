"""The ways in which a saga ends, as values for `match`."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from .._history.preview import PlannedCompensation, RemainingEffect
from .._wire.operator_requests import ManualResolution

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Completed(Generic[T_co]):
    """The saga completed, and its effects are meant to stay.

    A child counts as completed when its own workflow has; its parent can still compensate its steps until
    the root of both has closed.

    Args:
        result: The value that the run method of the saga returned.
        remaining_effects: Always empty: all effects remain, and `SagaClient.show` lists them.
    """

    result: T_co
    _: KW_ONLY
    remaining_effects: tuple[RemainingEffect, ...] = ()


@dataclass(frozen=True, slots=True)
class Compensated:
    """The saga failed or was cancelled, and every compensation has run.

    Args:
        code: The code of the first failure, such as `card_declined`; `cancelled` after a cancel. After a
            rescue: `terminated`, `timed_out`, or the type of the workflow's error. Empty where the workflow
            handled the failure of its saga and returned a result.
        reason: The reason of the first failure, for people.
        field: The input that broke a rule, as a dotted path, where the participant named the field.
        is_cancelled: Whether the saga compensated because its workflow was cancelled.
        rescue_id: The workflow that compensated the saga, where a rescue did.
        remaining_effects: The effects without a compensation, such as those of `best_effort`, and the effects
            from before a reset.
    """

    code: str
    _: KW_ONLY
    reason: str = ""
    field: str | None = None
    is_cancelled: bool = False
    rescue_id: str | None = None
    remaining_effects: tuple[RemainingEffect, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled(Generic[T_co]):
    """The saga ended, and a person resolved at least one of its steps manually.

    Args:
        result: The value that the run method returned; None for a saga that compensated.
        code: As in `Compensated`; empty for a saga that completed.
        is_compensated: Whether the saga compensated; otherwise it completed, and `result` is its result.
        manual_resolutions: How each step was resolved, `skipped` or `completed by hand`, by address.
        reason: As in `Compensated`.
        field: As in `Compensated`.
        is_cancelled: As in `Compensated`.
        rescue_id: As in `Compensated`.
        remaining_effects: As in `Compensated`, with the effects of skipped compensations; empty for a saga
            that completed.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """The workflow was terminated, timed out or failed without its compensations, and was not rescued.

    `SagaClient.rescue` compensates or resumes the saga. The failure of a workflow without a saga is a
    `CutOff` with nothing pending.

    Args:
        how: How the workflow ended.
        code: The type of the error of a workflow that failed.
        reason: The reason that was given when the workflow was terminated, or the message of the error.
        pending_compensations: The compensations that a rescue would run, the first one first; empty once
            the pivot may have happened.
        unresolved_children: The addresses of the children with an unknown outcome, whose compensations are
            missing in `pending_compensations`.
        is_past_pivot: Whether the pivot is done, or may be: a rescue resumes the saga, and nothing is
            compensated.
        has_completed: Whether the saga had completed, and the workflow was interrupted in the code after its
            saga: the effects stay, and only the result is missing.
        rescue_id: The last rescue of the saga, where a rescue was interrupted itself.
        remaining_effects: The effects that no rescue would compensate; empty for a saga that had completed.
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
