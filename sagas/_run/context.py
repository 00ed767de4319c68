"""What the plugin and the saga share about one workflow run."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from .._core.compensation import PlanItem
from .._errors import DefinitionError
from .._wire.child_saga import CHILD_MEMO, UNACCOUNTED_MEMO
from .._wire.continued_state import ContinuedState
from .._wire.operator_requests import Authorize, ManualResolution
from .cancellation_shield import CancellationShield
from .open_children import OpenChildren
from .task_size_limit import TaskSizeLimit


def _refuse(error: Exception) -> None:
    raise error


@dataclass(slots=True)
class RunContext:
    """One workflow run in which sagas can be opened."""

    is_child: bool
    search_attributes: bool
    is_pivot: bool = False
    """Whether it is its parent's pivot."""
    carried: ContinuedState | None = None
    authorize: Authorize | None = None
    was_reset: bool = False
    """Whether the server has gone back in its history: what comes now may have happened before."""
    guard: CancellationShield = field(default_factory=CancellationShield)
    load: TaskSizeLimit = field(default_factory=TaskSizeLimit)
    family: OpenChildren = field(default_factory=OpenChildren)
    owed: tuple[PlanItem, ...] = ()
    by_hand: dict[str, ManualResolution] = field(default_factory=dict[str, ManualResolution])
    has_saga: bool = False
    is_open: bool = False
    """Whether its saga has begun and not ended."""
    is_over: bool = False
    """Whether the workflow's own code has come to its end."""
    tell_completed: Callable[[], None] = lambda: None
    """Writes into history that its saga has completed, where it has: the workflow did not end with it."""
    has_activities: bool = False
    """Whether it has had activities or children that belong to no saga, in this run or an earlier one."""
    own: dict[str, workflow.ActivityHandle[Any]] = field(
        default_factory=dict[str, "workflow.ActivityHandle[Any]"]
    )
    """The activities of the workflow's own, by the ids that it gave them."""
    mark: Payload | None = None
    """Goes into the header of the activity that is scheduled next."""
    _activities: dict[str, bool] = field(default_factory=dict[str, bool])
    """The activity ids that were used, and whether by a step of the saga."""
    details: Callable[[], str] = str
    """Makes the table of its steps, for who looks at the workflow."""
    failed: Exception | None = None
    """What was raised beside the block of its saga before that had begun."""
    fail: Callable[[Exception], None] = _refuse
    """Takes what is raised beside the block of its saga, while that is open."""

    def note_activity(self, activity_id: str, *, is_of_saga: bool) -> None:
        """Notes whose activity has an id; the server takes two of one id at a time for an error, for ever.

        Raises:
            DefinitionError: A step of the saga has it, and an activity of the workflow's own.
        """
        if self._activities.setdefault(activity_id, is_of_saga) is not is_of_saga:
            raise DefinitionError(
                f"activity id {activity_id!r} belongs to a step of the saga: give your activity another one"
            )

    def memo_of_next(self, memo: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """The memo of its next run, when the workflow continues as new by itself.

        It is still its parent's child then, and what it has done is still not made up for; a memo that the
        workflow gives to the next run would replace all of this one's.

        Args:
            memo: As the workflow gives it; without one, the next run has that of this one.
        """
        if not self.is_child or (memo is None and not self.has_activities):
            return memo
        own = {name: RawValue(value) for name, value in workflow.info().raw_memo.items()}
        kept = {name: value for name, value in own.items() if memo is None or name == CHILD_MEMO}
        return {**(memo or {}), **kept} | ({UNACCOUNTED_MEMO: True} if self.has_activities else {})

    def note_reset(self, seed: int) -> None:
        """Notes that the workflow was reset to where it is now, whose sign is a new random seed."""
        del seed
        self.was_reset = True


_current: ContextVar[RunContext] = ContextVar("saga-run")


def enter(run: RunContext) -> None:
    """Makes `run` the one that sagas of this workflow belong to."""
    _current.set(run)


def current() -> RunContext:
    """The run that the calling workflow code belongs to.

    Raises:
        DefinitionError: There is none: the worker's client has no `SagaPlugin`, or this is not its `run`.
    """
    run = _current.get(None)
    if run is None:
        raise DefinitionError(
            "a saga is opened in the `run` of a workflow, not before it or beside it, and the client of its "
            "worker needs the plugin: Client.connect(..., plugins=[SagaPlugin()])"
        )
    return run
