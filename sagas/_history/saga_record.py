"""The content of a saga's history: scheduled activities and children, their ends, and the operators' verbs.

`parser` fills a record; the rebuilt ledger and the timeline are both derived from the record.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import OnStuck, SectionSpec
from .._core.lifecycle import ManualResolution
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.status import Status
from .._wire.activity_header import ActivityHeader
from .._wire.continued_state import ContinuedState
from .._wire.operator_requests import COMPLETE, SKIP, AuditEntry
from .closure import Closure

LEDGER_PURPOSES = (Purpose.STEP, Purpose.BEST_EFFORT, Purpose.PIVOT, Purpose.RETRIABLE)
"""The purposes of actions, each of which is an entry of the ledger."""

LONGEST_PICKUP = timedelta(seconds=2)
"""The time in which a worker takes a workflow task; later, no worker polls, or the workers are overloaded."""


@dataclass(slots=True, kw_only=True)
class ActivityRecord:
    """A scheduled activity. A step can have several: probes, compensations, and further rounds."""

    address: str
    activity: str
    """The activity type."""
    header: ActivityHeader
    arguments: tuple[object, ...]
    scheduled_at: datetime
    maximum_attempts: int
    """The limit of the retry policy; 0 means no limit."""
    attempts: int = 0
    """The number of started attempts in the history, which does not have a running attempt."""
    ended_at: datetime | None = None
    result: ActivityOutcome = field(default_factory=lambda: ActivityOutcome(Outcome.STARTED))
    superseded_run_id: str = ""
    """The run that scheduled the activity, where a reset superseded that run; else empty."""
    activity_id: str = ""
    is_paused: bool = False
    """Whether the open activity is paused in Temporal; only the server's description knows."""

    @property
    def is_done(self) -> bool:
        """Whether the activity completed."""
        return self.result.outcome is Outcome.DONE

    @property
    def is_under_way(self) -> bool:
        """Whether the activity has not ended."""
        return self.result.outcome is Outcome.STARTED


@dataclass(slots=True, kw_only=True)
class ChildRecord:
    """A child saga, read from the history of the parent."""

    address: str
    id: str
    initiated_at: datetime
    run_id: str = ""
    """The first run of the child; empty before the start."""
    superseded_run_id: str = ""
    """The run of the parent that initiated the child, where a reset superseded that run; else empty."""
    workflow_task_completed_event_id: int = 0
    """The event of the parent's workflow task that initiated the child."""
    task_queue: str | None = None
    """The task queue of the child; None if the parent has the same."""
    is_pivot: bool = False
    parent_on_stuck: OnStuck = OnStuck.CONTINUE
    """The parent's choice, by the memo of the child."""
    sections: tuple[SectionSpec, ...] = ()
    """The sections around the child, the outermost first."""
    is_independent: bool = False
    """Whether the child is an independent saga, which belongs to no ledger."""
    lost: tuple[str, ...] = ()
    """For a pivot: the sections of the lost alternatives."""
    has_started: bool = False
    has_start_failed: bool = False
    """Whether the server did not start the child, because another workflow has the same id."""
    closure: Closure | None = None
    record: "SagaRecord | None" = None
    """The child's own history; None if that was not read."""
    is_missing: bool = False
    """Whether the server has no workflow with the id of the child."""


class ForeignKind(StrEnum):
    """The kinds of work outside of a saga."""

    ACTIVITY = "activity"
    LOCAL_ACTIVITY = "local activity"
    CHILD_WORKFLOW = "child workflow"
    NEXUS_OPERATION = "Nexus operation"


@dataclass(slots=True, kw_only=True)
class ForeignRecord:
    """Work of the workflow's own that ran while the saga was open; no compensation of the saga undoes it."""

    name: str
    """The type of the activity or workflow, or the name of the operation."""
    kind: ForeignKind
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome = Outcome.STARTED
    """Done, started, unknown after a failure, or withdrawn for a child that was not started."""


Scheduled = ActivityRecord | ChildRecord
"""An activity or a child that a saga has scheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbRecord:
    """An executed verb of an operator."""

    entry: AuditEntry
    executed_at: datetime = field(compare=False)
    """The time of the event; the entry has whole seconds only."""
    result: object = None
    """The result in the request, where the verb completes a step."""


class TimedReason(NamedTuple):
    """The time and the reason of an incident."""

    at: datetime
    reason: str


class TaskFailureRecord(NamedTuple):
    """The failure of a workflow task: the time of the first failure, and the text of the error and causes."""

    at: datetime
    reason: str
    causes: tuple[str, ...] = ()


class TimerRecord(NamedTuple):
    """An open timer."""

    fires_at: datetime
    summary: str


@dataclass(slots=True)
class SagaRecord:
    """A saga, read from its history.

    Args:
        id: The workflow id.
        run_id: The current run.
        first_run_id: The first run; resets and continue-as-new keep the first run.
        parent: The workflow id of the parent of a child saga.
        root: The workflow id of the root of a child saga.
        independent_of: The workflow id of the saga that waits for the outcome of this independent saga.
        type: The workflow type.
        task_queue: The task queue of the workflow.
        input: The input of the workflow, in the types of JSON.
        started_at: The time of the first start in the history.
        chunks: The received chunks of a rescue workflow.
        scheduled: Activities and children, in the order of scheduling.
        independent_sagas: The independent sagas, in the order of the start.
        foreign_work: The work of the workflow's own while the saga was open, in the order of the start.
        continued_state: The state from the run before the last, where the workflow continued as new.
        last_run_index: The index in `scheduled` of the first item after the continued state.
        verbs: The executed verbs.
        forgotten: The forgotten steps by address, with the time and the reason.
        cancel_requests: The cancel requests.
        status: The last published status.
        status_at: The time of the last published status.
        has_compensated: Whether the saga ever published the status compensating.
        timers: The open timers, by the ids of their start events.
        is_paused: Whether the workflow is paused in Temporal.
        task_failure: The current failure of workflow tasks, with the time of the first failed task.
        has_pending_workflow_task: Whether the workflow code has not processed the latest events.
        read_at: The time at which the history was read from the server; None for another history.
        pending_task_since: The time since which a workflow task waits for a worker; None without such a task.
        closure: The close of the workflow; None while the workflow is open.
        continued_from: The run before the first run in the history.
        continued_as: The run after the last run in the history.
        reset_point: The latest event for a reset: the end of the last workflow task.
        resets: The resets before the current run.
        superseded_runs: The runs before resets, the oldest first, each from the start of the saga.
        rescues: The rescue workflows of sagas with this id, in the order of their numbers.
    """

    id: str
    run_id: str = ""
    first_run_id: str = ""
    parent: str = ""
    root: str = ""
    independent_of: str = ""
    type: str = ""
    task_queue: str = ""
    input: object = None
    started_at: datetime | None = None
    chunks: list[object] = field(default_factory=list[object])
    scheduled: list[Scheduled] = field(default_factory=list[Scheduled])
    independent_sagas: list[ChildRecord] = field(default_factory=list[ChildRecord])
    foreign_work: list[ForeignRecord] = field(default_factory=list[ForeignRecord])
    continued_state: ContinuedState | None = None
    last_run_index: int = 0
    verbs: list[VerbRecord] = field(default_factory=list[VerbRecord])
    forgotten: dict[str, TimedReason] = field(default_factory=dict[str, TimedReason])
    cancel_requests: list[TimedReason] = field(default_factory=list[TimedReason])
    status: str = ""
    status_at: datetime | None = None
    has_compensated: bool = False
    timers: dict[int, TimerRecord] = field(default_factory=dict[int, TimerRecord])
    is_paused: bool = False
    task_failure: TaskFailureRecord | None = None
    has_pending_workflow_task: bool = False
    read_at: datetime | None = None
    pending_task_since: datetime | None = None
    closure: Closure | None = None
    continued_from: str = ""
    continued_as: str = ""
    reset_point: int = 0
    resets: list[TimedReason] = field(default_factory=list[TimedReason])
    superseded_runs: list["SagaRecord"] = field(default_factory=list["SagaRecord"])
    rescues: list["SagaRecord"] = field(default_factory=list["SagaRecord"])

    def set_status(self, status: str, at: datetime) -> None:
        """Sets the published status."""
        self.status, self.status_at = status, at
        self.has_compensated = self.has_compensated or status == Status.COMPENSATING

    @property
    def without_worker_since(self) -> datetime | None:
        """The time since which no worker has taken a workflow task; None while a worker may be about to."""
        since = self.pending_task_since
        if since is None or self.read_at is None or self.read_at - since < LONGEST_PICKUP:
            return None
        return since

    @property
    def has_completed(self) -> bool:
        """Whether the effects of the saga are final; a child's effects are final when the root closes.

        The published status counts: a workflow can go on after its saga, and be terminated later.
        """
        is_closed = self.closure is not None and self.closure.is_completed
        is_published = self.status == Status.COMPLETED or (
            self.status == Status.SETTLED and not self.has_compensated
        )
        return (is_closed or is_published) and self.status != Status.COMPENSATED and not self.parent

    @property
    def is_handed_over(self) -> bool:
        """Whether the saga is a completed child: the parent runs the compensations."""
        return bool(self.parent) and self.closure is not None and self.closure.is_completed

    @property
    def own_rescues(self) -> list["SagaRecord"]:
        """The rescues of this saga, without the rescues of an earlier saga with the same id."""
        started_at = self.continued_state.started_at if self.continued_state else self.started_at
        return [
            each
            for each in self.rescues
            if not (started_at and each.started_at) or each.started_at >= started_at
        ]

    @property
    def activities(self) -> list[ActivityRecord]:
        """The scheduled activities."""
        return [each for each in self.scheduled if isinstance(each, ActivityRecord)]

    @property
    def children(self) -> list[ChildRecord]:
        """The scheduled children."""
        return [each for each in self.scheduled if isinstance(each, ChildRecord)]

    @property
    def in_order(self) -> list[Scheduled]:
        """Activities, children and independent sagas in the order of the start."""
        if not self.independent_sagas:
            return self.scheduled
        return sorted(
            [*self.scheduled, *self.independent_sagas],
            key=lambda each: each.initiated_at if isinstance(each, ChildRecord) else each.scheduled_at,
        )

    @property
    def has_begun_compensation(self) -> bool:
        """Whether the saga has scheduled a compensation, apart from those of sections and single steps."""
        return any(not each.header.unit for each in self.compensations)

    @property
    def compensations(self) -> list[ActivityRecord]:
        """The scheduled compensations."""
        return [each for each in self.activities if each.header.purpose is Purpose.COMPENSATION]


def manual_resolutions_of(record: SagaRecord) -> dict[str, ManualResolution]:
    """How operators resolved steps manually, by the addresses of the steps."""
    return {
        verb.entry.target: "skipped" if verb.entry.verb == SKIP else "completed-manually"
        for verb in record.verbs
        if verb.entry.verb in (SKIP, COMPLETE)
    }


def manually_resolved(record: SagaRecord) -> frozenset[str]:
    """The addresses of the manually resolved steps."""
    return frozenset(manual_resolutions_of(record))


def closure_of_child(child: ChildRecord) -> Closure | None:
    """The close of a child by the child's own history, or else by the parent's history."""
    if child.record is not None and child.record.closure is not None:
        return child.record.closure
    return child.closure
