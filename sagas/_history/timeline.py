"""The timeline of a saga as data: steps, compensations, children, waits, and the verbs of operators."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from .._core.effect_class import EffectClass
from .._core.lifecycle import ManualResolution
from .._core.outcome import Outcome
from .._core.saga_outcome import RemainingEffect
from .._wire.operator_requests import AuditEntry
from .closure import CloseStatus
from .ledger_rebuild import RecoveryDirection
from .saga_record import ForeignKind

FOR_OPERATOR = "for-operator"
FOR_WORKER = "for-worker"
UNTIL_APPROVED = "until-approved"
UNTIL_UNPAUSED = "until-unpaused"
UNTIL_ACTIVITY_UNPAUSED = "until-activity-unpaused"
"""The values of `PendingWait.condition`; every other value is the summary of an open timer."""


class CompensationState(StrEnum):
    """The progress of a compensation."""

    PENDING = "pending"
    """The compensation would run if the saga failed now, or is about to run."""
    WAITING = "waiting"
    """The compensation waits until a newer, failing compensation is done or resolved by an operator."""
    OF_PARENT = "of-parent"
    """The saga is a completed child: the parent runs the compensation if the parent fails."""
    UNDER_WAY = "under-way"
    """The compensation runs."""
    PAUSED = "paused"
    """The activity of the compensation is paused in Temporal, and is not attempted until an operator unpauses
    the activity."""
    FAILING = "failing"
    """The last round of attempts failed; another round follows, or an operator must act."""
    DONE = "done"
    """The compensation is done."""
    COMPLETED_MANUALLY = "completed-manually"
    """An operator marked the compensation as done manually."""
    SKIPPED = "skipped"
    """An operator skipped the compensation."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class CompensationLine(_Model):
    """The compensation of a step in a timeline.

    Args:
        address: The address of the step, in the compensating saga.
        activity: The type of the compensating activity.
        state: The progress.
        started_at: The time of the first scheduling.
        ended_at: The time at which the compensation was done.
        attempts: The number of started attempts in the history.
        reason: The reason for which the last round failed.
        behind: The address of the failing compensation, or of the child, for which a waiting one waits.
    """

    address: str
    activity: str
    state: CompensationState
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    reason: str = ""
    behind: str = ""


class ConfirmationLine(CompensationLine):
    """The confirmation of a step in a timeline; the fields as for a compensation.

    The state is `pending` before the confirmations begin, `of-parent` in a child, and never `skipped`.
    """


class StepLine(_Model):
    """A step, pivot or child saga in a timeline.

    Args:
        address: The address in the saga.
        purpose: `step`, `best-effort`, `pivot`, `retriable`, `after-compensation`, `child`, or `independent`;
            a child that is the pivot has `pivot`.
        outcome: The outcome; `started` while the outcome is open.
        activity: The activity type, or the workflow type of a child.
        started_at: The time of scheduling.
        ended_at: The time of the end.
        attempts: The number of started attempts in the history.
        code: The code of a rejection or failure.
        reason: The reason of a rejection or failure.
        compensations: The compensation of the step, or the compensations of a completed child.
        child: The timeline of a child, or of an independent saga.
        effect: The effect class of a read-only or irreversible step; None for other steps, and in histories
            without effect classes.
        superseded_run_id: The superseded run of the step; empty for a step of the current run.
        manual_resolution: The manual resolution; the outcome is then the operator's decision.
        is_paused: Whether the activity is paused in Temporal.
        sections: The addresses of the sections around the step, the outermost first.
        confirmations: The confirmation of the step, or the confirmations of a completed child.
    """

    address: str
    purpose: str
    outcome: Outcome
    activity: str = ""
    started_at: datetime
    ended_at: datetime | None = None
    attempts: int = 0
    code: str = ""
    reason: str = ""
    compensations: tuple[CompensationLine, ...] = ()
    child: "Timeline | None" = None
    effect: EffectClass | None = None
    superseded_run_id: str = ""
    manual_resolution: ManualResolution | None = None
    is_paused: bool = False
    sections: tuple[str, ...] = ()
    confirmations: tuple[ConfirmationLine, ...] = ()


class ForeignLine(_Model):
    """An activity, child workflow or Nexus operation of the workflow's own, while the saga was open.

    Args:
        name: The type of the activity or workflow, or the name of the operation.
        kind: `activity`, `local activity`, `child workflow` or `Nexus operation`.
        outcome: The outcome; unknown after a failure, withdrawn for a child that was not started.
        started_at: The time of scheduling; for a local activity the time of the end.
        ended_at: The time of the end.
    """

    name: str
    kind: ForeignKind
    outcome: Outcome
    started_at: datetime
    ended_at: datetime | None = None


class TaskFailure(_Model):
    """A failure of the workflow code; workers retry the workflow task until the code is fixed.

    Args:
        reason: The error of the task.
        since: The time of the first failed task.
        causes: The causes of the error, the direct cause first.
    """

    reason: str
    since: datetime
    causes: tuple[str, ...] = ()


class PendingWait(_Model):
    """A condition for which an open saga waits.

    Args:
        condition: The condition: the summary of a timer, or a constant of this module.
        until: The latest end of the wait; None if only the condition ends the wait.
        since: The begin of the wait for a worker: from this time on a step, an event or a retry is due.
        subject: The task queue without a worker, the name of the approval, or the id of the paused activity.
        role: The role that may approve; empty if unknown.
        command: The command that ends the wait, where a person has to act.
    """

    condition: str
    until: datetime | None = None
    since: datetime | None = None
    subject: str = ""
    role: str = ""
    command: str = ""


class CancelRequest(_Model):
    """A request to cancel the workflow of a saga."""

    at: datetime
    reason: str = ""


class Timeline(_Model):
    """The timeline of a saga.

    Args:
        id: The id of the saga.
        run_id: The current run of the workflow.
        type: The workflow type.
        status: The status; `failing-code` for an open workflow whose task fails; `terminated`, `timed-out` or
            `failed` for a workflow without a final saga status.
        recovery_direction: The direction of the recovery: `backward` or `forward`.
        status_at: The time of the published status; None for an unpublished status.
        started_at: The time of the start.
        ended_at: The time of the close.
        close_status: The close status of the workflow.
        code: The code of the failure of the workflow.
        reason: The reason of the failure.
        steps: The steps and children, in the order of their start.
        foreign_work: The work that belongs to no saga, in the order of the start. A local activity before the
            first step is not known.
        remaining_effects: The effects that stay although the saga compensates or has ended; empty for a saga
            that goes forward or has completed, and for a child.
        compensating_units: The addresses of the sections and single steps that the saga compensates while
            going forward.
        task_failure: The failure of the workflow code, which must be fixed before the saga can go on.
        waits: The conditions for which the saga waits.
        audit_trail: The audit trail.
        cancel_requests: The cancel requests.
        independent_of: The saga that waits for the outcome of this independent saga; else empty.
        continued_from: The run before the first run in the timeline, where the workflow continued as new.
        continued_as: The run after the last run in the timeline.
        rescues: The timelines of the rescues, in the order of their start.
    """

    id: str
    run_id: str = ""
    type: str = ""
    status: str
    recovery_direction: RecoveryDirection
    status_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    close_status: CloseStatus | None = None
    code: str = ""
    reason: str = ""
    steps: tuple[StepLine, ...] = ()
    foreign_work: tuple[ForeignLine, ...] = ()
    remaining_effects: tuple[RemainingEffect, ...] = ()
    compensating_units: tuple[str, ...] = ()
    task_failure: TaskFailure | None = None
    waits: tuple[PendingWait, ...] = ()
    audit_trail: tuple[AuditEntry, ...] = ()
    cancel_requests: tuple[CancelRequest, ...] = ()
    independent_of: str = ""
    continued_from: str = ""
    continued_as: str = ""
    rescues: "tuple[Timeline, ...]" = ()

    @property
    def rescue(self) -> "Timeline | None":
        """The last rescue; None without a rescue."""
        return self.rescues[-1] if self.rescues else None
