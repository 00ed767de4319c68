"""A saga as its history tells of it: what was scheduled, how it ended, and who stepped in.

It is only told by `reading`; the ledger (`rebuild_saga`) and the timeline are both made from it,
so they cannot disagree about what has happened.
"""

from dataclasses import dataclass, field
from datetime import datetime

from .._core.activity_outcome import ActivityOutcome
from .._core.lifecycle import ManualResolution
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.status import Status
from .._wire.activity_header import ActivityHeader
from .._wire.continued_state import ContinuedState
from .._wire.operator_requests import COMPLETE, SKIP, AuditEntry
from .closure import CloseStatus, Closure

COUNTED = (Purpose.STEP, Purpose.BEST_EFFORT, Purpose.PIVOT, Purpose.RETRIABLE)
"""What is a line of the ledger; the others are about one."""


@dataclass(slots=True, kw_only=True)
class ActivityRecord:
    """An activity that was scheduled; a pivot or a compensation may have several, one after the other."""

    address: str
    activity: str
    mark: ActivityHeader
    arguments: tuple[object, ...]
    scheduled_at: datetime
    most: int
    """How often it is tried at most; 0 is without end."""
    attempts: int = 0
    """How often it was begun, as far as history says: the attempt that runs is not in it."""
    ended_at: datetime | None = None
    verdict: ActivityOutcome = field(default_factory=lambda: ActivityOutcome(Outcome.STARTED))
    left_by: str = ""
    """The run that did it, where a reset has left that behind."""


@dataclass(slots=True, kw_only=True)
class ChildRecord:
    """A child saga, as its parent's history tells of it."""

    address: str
    id: str
    asked_at: datetime
    run_id: str = ""
    """Its first run, once it has started."""
    left_by: str = ""
    """The run that asked for it, where a reset has left that behind."""
    asked_in: int = 0
    """The end of the workflow task in which it was asked for."""
    task_queue: str | None = None
    """Where its workers listen, where that is not where its parent's do."""
    is_pivot: bool = False
    has_started: bool = False
    was_refused: bool = False
    """It was never started, as another workflow has its id."""
    close: Closure | None = None
    record: "SagaRecord | None" = None
    """What its own history says, where somebody has read it."""
    is_missing: bool = False
    """The server knows no such workflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbRecord:
    """An operator's word that was carried out, and the result that it came with."""

    entry: AuditEntry
    at: datetime = field(compare=False)
    """As its history has it; the entry tells of seconds."""
    result: object = None


@dataclass(slots=True)
class SagaRecord:
    """A saga by its history; its activities and children stand in the order of their start."""

    id: str
    run_id: str = ""
    """The run that counts; told by who has fetched the history."""
    first_run_id: str = ""
    """The run with which it began: the same before and after it was reset, or continued as new."""
    parent: str = ""
    """The saga that it is a child of."""
    root: str = ""
    """The saga at the top, where it is a child."""
    type: str = ""
    task_queue: str = ""
    request: object = None
    """What it was started with, as JSON has it."""
    started_at: datetime | None = None
    parts: list[object] = field(default_factory=list[object])
    """What a rescue was sent of its request in parts."""
    lines: list[ActivityRecord | ChildRecord] = field(default_factory=list[ActivityRecord | ChildRecord])
    carried: ContinuedState | None = None
    """What its last run was given by the one before, where it continued as new."""
    first: int = 0
    """The first of its lines that is not in what was carried."""
    verbs: list[VerbRecord] = field(default_factory=list[VerbRecord])
    cancels: list[tuple[datetime, str]] = field(default_factory=list[tuple[datetime, str]])
    status: str = ""
    """What it last wrote into its search attribute, or its memo."""
    status_at: datetime | None = None
    """When it wrote that."""
    has_turned: bool = False
    """Whether it has said that it compensates."""
    timers: dict[int, tuple[datetime, str]] = field(default_factory=dict[int, tuple[datetime, str]])
    """When each that is open fires, and what it is for; by the events that have started them."""
    is_paused: bool = False
    """Whether somebody has paused its workflow in Temporal: none of its code runs meanwhile."""
    fault: tuple[datetime, str] | None = None
    """Since when its code fails, and how: the server asks for the same workflow task again and again."""
    has_news: bool = False
    """Whether something has come that its code has not answered yet."""
    close: Closure | None = None
    continued_from: str = ""
    continued_as: str = ""
    reset_point: int = 0
    """A reset keeps what is before this event: the end of the last workflow task, or where it would be."""
    resets: list[tuple[datetime, str]] = field(default_factory=list[tuple[datetime, str]])
    """When it was reset to go on from here, and why."""
    bases: list["SagaRecord"] = field(default_factory=list["SagaRecord"])
    """What resets have left behind, the oldest first: runs that are not in its lines, from their start on."""
    rescues: list["SagaRecord"] = field(default_factory=list["SagaRecord"])
    """The workflows that made up for a saga of this id after it had been cut off, by their numbers."""

    def note_status(self, status: str, at: datetime) -> None:
        """Notes what it says of itself."""
        self.status, self.status_at = status, at
        self.has_turned = self.has_turned or status == Status.COMPENSATING

    @property
    def has_completed(self) -> bool:
        """Whether what it did is meant to stay; a child has to wait for its root.

        Its workflow may go on after its block, and be cut off there; it has said then that the block ended.
        """
        is_closed = self.close is not None and self.close.how is CloseStatus.COMPLETED
        has_said = self.status == Status.COMPLETED or (self.status == Status.SETTLED and not self.has_turned)
        return (is_closed or has_said) and self.status != Status.COMPENSATED and not self.parent

    @property
    def is_handed_over(self) -> bool:
        """Whether it is a child that has completed: from then on its parent makes up for what it did."""
        return bool(self.parent) and self.close is not None and self.close.how is CloseStatus.COMPLETED

    @property
    def own_rescues(self) -> list["SagaRecord"]:
        """Its rescues, without those of an earlier saga that had the same id."""
        began = self.carried.began_at if self.carried else self.started_at
        return [each for each in self.rescues if not (began and each.started_at) or each.started_at >= began]

    @property
    def efforts(self) -> list[ActivityRecord]:
        """The activities among its lines."""
        return [line for line in self.lines if isinstance(line, ActivityRecord)]

    @property
    def children(self) -> list[ChildRecord]:
        """The child sagas among its lines."""
        return [line for line in self.lines if isinstance(line, ChildRecord)]


def by_hand(record: SagaRecord) -> frozenset[str]:
    """The addresses that a person has settled, by leaving something out or by doing it."""
    return frozenset(manual_resolutions_of(record))


def manual_resolutions_of(record: SagaRecord) -> dict[str, ManualResolution]:
    """How a person has settled what is at these addresses."""
    return {
        verb.entry.about: "skipped" if verb.entry.verb == SKIP else "completed by hand"
        for verb in record.verbs
        if verb.entry.verb in (SKIP, COMPLETE)
    }


def closure_of_child(child: ChildRecord) -> Closure | None:
    """How a child has ended, by its own history where that was read; its parent may not have heard of it."""
    if child.record is not None and child.record.close is not None:
        return child.record.close
    return child.close
