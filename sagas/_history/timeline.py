"""The story of one saga, for people and programs: what it did, what it owes, and who stepped in."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from .._core.lifecycle import ManualResolution
from .._core.outcome import Outcome
from .._wire.operator_requests import AuditEntry
from .closure import CloseStatus
from .ledger_rebuild import RecoveryDirection


class CompensationState(StrEnum):
    """How far the compensation of a step is."""

    OWED = "owed"
    """It would run if the saga failed now, or is about to run."""
    PARENTS = "its parent's"
    """Its saga is a child that has completed: only its parent knows."""
    UNDER_WAY = "under way"
    FAILING = "failing"
    """Its last round failed; it is tried again, or waits for a person."""
    DONE = "done"
    BY_HAND = "by hand"
    """A person has done it."""
    SKIPPED = "skipped"
    """A person has left it out."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class CompensationLine(_Model):
    """What makes up for a step, and how far it is.

    Args:
        address: Of the step, as the saga that runs the compensation sees it.
        activity: The type of the activity.
        state: How far it is.
        started_at: When it was first scheduled.
        ended_at: When it was done.
        attempts: How often it was begun, as far as history says.
        reason: Why its last round failed.
    """

    address: str
    activity: str
    state: CompensationState
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    reason: str = ""


class StepLine(_Model):
    """A step, the pivot, or a child saga, and how it ended.

    Args:
        address: Where it is in the saga.
        purpose: What it is: `step`, `best-effort`, `pivot`, `retriable`, `afterwards`, or `child`.
        outcome: Done, rejected or unknown; *started* where no end is known yet.
        activity: The type of its activity; for a child, of its workflow where that is known.
        started_at: When it was scheduled.
        ended_at: When it ended, where it did.
        attempts: How often it was begun, as far as history says.
        code: The code of a refusal or failure.
        reason: One sentence on it.
        compensations: What makes up for it; a child that has closed may owe several.
        child: The child's own story, where it was read.
        left_by: The run that has done it, where a reset has left that behind.
        by_hand: How a person has settled it, where one has: the outcome is what that person says.
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
    left_by: str = ""
    by_hand: ManualResolution | None = None


class TaskFailure(_Model):
    """The code of a saga fails; its workers try it again until it is mended."""

    reason: str
    since: datetime


class PendingWait(_Model):
    """What a saga waits for, and until when at the latest; nothing else ends the wait for a person."""

    what: str
    until: datetime | None = None


class CancelRequest(_Model):
    """Somebody asked the saga to end early."""

    at: datetime
    reason: str = ""


class Timeline(_Model):
    """The story of a saga.

    Args:
        id: The saga's id.
        run_id: The run of its workflow that counts.
        type: The type of its workflow.
        status: Its status; for a saga that was cut off, how: `terminated`, `timed-out`, `failed`.
        way: For a saga that has not ended by itself: whether it can still go `back`, or only `forward`.
        since: When it said so; a saga on the happy path, and one that was cut off, says nothing.
        started_at: When it started.
        ended_at: When it ended, where it did.
        closed: How its workflow closed.
        code: The code of the failure that it ended with.
        reason: One sentence on it.
        steps: Its steps and children, in the order of their start.
        fault: That its code fails, where it is open: it does nothing and takes no verb until that is mended.
        waits: What it waits for, where it is open; what its workflow has no timer for is not told.
        verbs: What operators did.
        cancels: Who asked it to end early, and when.
        continued_from: The run before this one, where it continued as new.
        continued_as: The run after this one that was not read.
        rescues: What was done after it had been cut off, each time that it was.
    """

    id: str
    run_id: str = ""
    type: str = ""
    status: str
    way: RecoveryDirection
    since: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    closed: CloseStatus | None = None
    code: str = ""
    reason: str = ""
    steps: tuple[StepLine, ...] = ()
    fault: TaskFailure | None = None
    waits: tuple[PendingWait, ...] = ()
    verbs: tuple[AuditEntry, ...] = ()
    cancels: tuple[CancelRequest, ...] = ()
    continued_from: str = ""
    continued_as: str = ""
    rescues: "tuple[Timeline, ...]" = ()

    @property
    def rescue(self) -> "Timeline | None":
        """The last of its rescues, where there is one."""
        return self.rescues[-1] if self.rescues else None
