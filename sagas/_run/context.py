"""The context of one workflow run, shared by the plugin and the saga: data only."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from .._core.compensation import PendingConfirmation, PlanItem
from .._core.lifecycle import Lifecycle, ManualResolution, Phase
from .._errors import DefinitionError
from .._wire.child_saga import CHILD_MEMO, FOREIGN_WORK_MEMO
from .._wire.continued_state import ContinuedState
from .._wire.operator_requests import Authorize
from .cancellation_shield import CancellationShield
from .concurrency_limit import ConcurrencyLimit
from .open_children import OpenChildren
from .scope import Scope
from .task_size_limit import TaskSizeLimit


@dataclass(slots=True, kw_only=True)
class RunContext:
    """A workflow run in which a saga can be opened.

    Args:
        is_child: Whether the workflow is the child of a saga.
        is_pivot_child: Whether the workflow is the pivot of the parent.
        search_attributes: Whether sagas write the search attribute `SagaStatus`.
        continued: The state of the saga's earlier run, where the workflow continued as new.
        authorize: The check of operators' verbs.
        has_foreign_work: Whether activities or children outside of the saga ran, in this or an earlier run.
    """

    is_child: bool = False
    is_pivot_child: bool = False
    search_attributes: bool = True
    continued: ContinuedState | None = None
    authorize: Authorize | None = None
    has_foreign_work: bool = False
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    shield: CancellationShield = field(init=False)
    open_children: OpenChildren = field(init=False)
    task_size: TaskSizeLimit = field(default_factory=TaskSizeLimit, init=False)
    concurrency: ConcurrencyLimit = field(default_factory=ConcurrencyLimit, init=False)
    scope: Scope | None = field(default=None, init=False)
    """The state of the saga, once the saga was opened."""
    was_reset: bool = field(default=False, init=False)
    """Whether the history was reset, so that later steps may have happened before the reset."""
    has_returned: bool = field(default=False, init=False)
    """Whether the workflow's own code has ended."""
    error_before_open: Exception | None = field(default=None, init=False)
    """The error of a signal handler before the saga of a continued run was opened."""
    foreign_activities: dict[str, workflow.ActivityHandle[Any]] = field(
        default_factory=dict[str, "workflow.ActivityHandle[Any]"], init=False
    )
    """The activities outside of the saga, by activity id."""
    declared_foreign_activities: frozenset[str] = field(default=frozenset[str](), init=False)
    """The names of read-only work outside of the saga that may run while the saga is open."""
    _activity_owners: dict[str, bool] = field(default_factory=dict[str, bool], init=False)
    """The used activity ids, and whether a step of the saga used the id."""

    def __post_init__(self) -> None:
        self.shield = CancellationShield(self.lifecycle)
        self.open_children = OpenChildren(self.lifecycle)

    @property
    def has_saga(self) -> bool:
        """Whether the run opened a saga."""
        return self.lifecycle.phase is not Phase.NOT_OPENED

    @property
    def pending_for_parent(self) -> tuple[PlanItem, ...]:
        """The compensations of a completed child saga for the parent."""
        if self.scope is None or not self.lifecycle.has_completed:
            return ()
        return self.scope.ledger.plan(is_past_pivot=self.lifecycle.is_past_pivot)

    @property
    def confirmations_for_parent(self) -> tuple[PendingConfirmation, ...]:
        """The confirmations of a completed child saga for the parent."""
        if self.scope is None or not self.lifecycle.has_completed:
            return ()
        return self.scope.ledger.confirmations()

    @property
    def resolutions_for_parent(self) -> dict[str, ManualResolution]:
        """The manual resolutions of a completed child saga for the parent."""
        return dict(self.lifecycle.resolutions) if self.lifecycle.has_completed else {}

    def publish_completion(self) -> None:
        """Writes the end of a completed saga into the history, where the workflow went on after the block."""
        if self.scope is not None and self.lifecycle.has_completed:
            self.scope.publisher.write()

    def note_activity(self, activity_id: str, *, is_of_saga: bool) -> None:
        """Records the owner of an activity id; the server fails every task with an id that is in use.

        Raises:
            DefinitionError: A step of the saga and an activity outside of the saga have the same id.
        """
        if self._activity_owners.setdefault(activity_id, is_of_saga) is not is_of_saga:
            raise DefinitionError(
                f"activity id {activity_id!r} belongs to a step of the saga: give your activity another id"
            )

    def memo_for_next_run(self, memo: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Returns the memo of the next run, when the workflow continues as new outside of the saga.

        The next run is still the child of the parent, and the foreign work is still not compensated. A memo
        from the workflow's code would replace the memo of this run.

        Args:
            memo: The memo from the workflow's code; without a memo, the next run has the memo of this run.
        """
        if not self.is_child or (memo is None and not self.has_foreign_work):
            return memo
        own = {name: RawValue(value) for name, value in workflow.info().raw_memo.items()}
        kept = {name: value for name, value in own.items() if memo is None or name == CHILD_MEMO}
        return {**(memo or {}), **kept} | ({FOREIGN_WORK_MEMO: True} if self.has_foreign_work else {})

    def note_reset(self, seed: int) -> None:
        """Records a reset of the workflow to this point; a new random seed is the sign of a reset."""
        del seed
        self.was_reset = True


_current: ContextVar[RunContext] = ContextVar("saga-run")


def enter_context(context: RunContext) -> None:
    """Makes `context` the context of the sagas of this workflow."""
    _current.set(context)


def current_context() -> RunContext:
    """The context of the calling workflow code.

    Raises:
        DefinitionError: The worker's client has no `SagaPlugin`, or the caller is not the workflow's `run`.
    """
    context = _current.get(None)
    if context is None:
        raise DefinitionError(
            "a saga is opened in the `run` of a workflow, and the client of the workflow's worker needs the "
            "plugin: Client.connect(..., plugins=[SagaPlugin()])"
        )
    return context
