"""The lifecycle of a saga scope: the only owner of the scope's phase, stuck steps and manual resolutions.

Pure: no I/O, no clock, no Temporal. Every change is a method, and an illegal change raises `DefinitionError`.

::

    not opened ──open──▶ forward ──start_pivot──▶ pivot ──pass_pivot──▶ past the pivot
                            ▲ │                     │                        │
                            │ │◀──withdraw_pivot────┘                        │ complete
                            │ ├──begin_confirmation──▶ past the pivot        │
                            │ ├──complete──────────────────────────────────▶ ended
                            │ └──begin_compensation──▶ compensating ──end_compensation──▶ ended

A hold is possible before, during and after the pivot. A request to compensate counts until the pivot is done;
the driver of the scope begins the compensation when no step is under way.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from .._errors import DefinitionError
from .activity_outcome import ActivityOutcome
from .purpose import Purpose
from .status import Status

ManualResolution = Literal["skipped", "completed-manually"]
"""The manual resolution of a stuck step."""


class Phase(StrEnum):
    """The phase of a scope between opening and end; only `forward` can be entered twice."""

    NOT_OPENED = "not-opened"
    FORWARD = "forward"
    PIVOT = "pivot"
    """The pivot is under way."""
    PAST_PIVOT = "past-pivot"
    COMPENSATING = "compensating"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class StuckStep:
    """A compensation, a pivot or a step after the pivot that keeps failing.

    Args:
        purpose: The purpose of the failing activity.
        reason: The reason of the last failures.
        result_type: The type of the action's result, to decode the result of a manual completion; None for a
            compensation.
    """

    purpose: Purpose
    reason: str
    result_type: type[object] | None = None


@dataclass(slots=True)
class Lifecycle:
    """The state machine of one scope.

    Args:
        starts_past_pivot: Whether an earlier run of the same saga passed the pivot.
        is_uncancellable: Whether no cancel may reach the scope in any phase; for the rescue of a saga.
        resolutions: Manual resolutions of earlier runs, by address.
    """

    starts_past_pivot: bool = False
    is_uncancellable: bool = False
    resolutions: dict[str, ManualResolution] = field(default_factory=dict[str, ManualResolution])
    phase: Phase = field(default=Phase.NOT_OPENED, init=False)
    pivot: str | None = field(default=None, init=False)
    """The address of the pivot while the pivot is under way."""
    is_pivot_in_doubt: bool = field(default=False, init=False)
    """Whether the action of the current pivot may have happened."""
    is_held: bool = field(default=False, init=False)
    is_stuck: bool = field(default=False, init=False)
    compensation_cause: Exception | None = field(default=None, init=False)
    """The cause of a requested compensation, other than a cancel of the workflow."""
    stuck_steps: dict[str, StuckStep] = field(default_factory=dict[str, StuckStep], init=False)
    retrying: set[str] = field(default_factory=set[str], init=False)
    """The addresses of stuck steps whose next attempt is under way."""
    resolved_outcomes: dict[str, ActivityOutcome] = field(
        default_factory=dict[str, ActivityOutcome], init=False
    )
    """The outcomes of manually resolved steps of this run, by address."""
    _last_phase: Phase = field(default=Phase.NOT_OPENED, init=False)

    @property
    def is_open(self) -> bool:
        """Whether the scope takes steps or compensates."""
        return self.phase not in (Phase.NOT_OPENED, Phase.ENDED)

    @property
    def is_before_pivot(self) -> bool:
        """Whether the scope can still compensate: the scope goes forward, and the pivot is not done."""
        return self.phase in (Phase.FORWARD, Phase.PIVOT)

    @property
    def is_past_pivot(self) -> bool:
        """Whether the pivot is done, also after the end of the scope; steps are not compensated then."""
        if self.phase is Phase.NOT_OPENED:
            return self.starts_past_pivot
        return Phase.PAST_PIVOT in (self.phase, self._last_phase)

    @property
    def has_compensated(self) -> bool:
        """Whether compensation has begun, also after the end of the scope."""
        return Phase.COMPENSATING in (self.phase, self._last_phase)

    @property
    def has_completed(self) -> bool:
        """Whether the scope has completed, and all effects stay."""
        return self.phase is Phase.ENDED and self._last_phase in (Phase.FORWARD, Phase.PAST_PIVOT)

    @property
    def blocks_cancel(self) -> bool:
        """Whether a cancel must not reach the code of the workflow."""
        return self.is_uncancellable or self.is_pivot_in_doubt or self.is_past_pivot or self.has_completed

    @property
    def status(self) -> Status:
        """The status for operators; see the table in the README."""
        match self.phase:
            case Phase.ENDED if self.resolutions:
                return Status.SETTLED
            case Phase.ENDED:
                return Status.COMPENSATED if self.has_compensated else Status.COMPLETED
            case _ if self.is_stuck:
                return Status.STUCK
            case Phase.COMPENSATING:
                return Status.COMPENSATING
            case _:
                return Status.HELD if self.is_held else Status.RUNNING

    def open(self) -> None:
        """Opens the scope.

        Raises:
            DefinitionError: The scope was opened before.
        """
        if self.phase is not Phase.NOT_OPENED:
            raise DefinitionError("a workflow run is one saga: a second one would have the keys of the first")
        self.phase = Phase.PAST_PIVOT if self.starts_past_pivot else Phase.FORWARD

    def check_start(self, address: str) -> None:
        """Checks that a forward step may start.

        Raises:
            DefinitionError: The scope is not open, or compensates.
        """
        if self.phase is Phase.COMPENSATING:
            raise DefinitionError(f"step {address!r} cannot start: the saga is compensating")
        if not self.is_open:
            raise DefinitionError(f"step {address!r} cannot start: the saga is not open")
        if self.phase is Phase.PIVOT:
            raise DefinitionError(f"{address!r} cannot start beside the pivot {self.pivot!r}")

    def check_pivot(self, name: str) -> None:
        """Checks that a pivot may start.

        Raises:
            DefinitionError: A pivot is under way or done, or the scope compensates, or is not open.
        """
        if self.phase is Phase.PAST_PIVOT:
            raise DefinitionError(f"{name!r} is a second pivot; a saga has one")
        if self.phase is Phase.COMPENSATING:
            raise DefinitionError(f"{name!r} cannot start: the saga is compensating")
        self.check_start(name)

    def start_pivot(self, address: str) -> None:
        """Records that the pivot is about to start.

        Raises:
            DefinitionError: As `check_pivot`.
        """
        self.check_pivot(address)
        self.phase, self.pivot = Phase.PIVOT, address

    def mark_pivot_in_doubt(self) -> None:
        """Records that the pivot may have happened: from here on, no cancel withdraws the pivot.

        Raises:
            DefinitionError: No pivot is under way.
        """
        self._check_pivot()
        self.is_pivot_in_doubt = True

    def withdraw_pivot(self) -> None:
        """Records that the pivot did not happen.

        Raises:
            DefinitionError: No pivot is under way.
        """
        self._check_pivot()
        self.phase, self.pivot, self.is_pivot_in_doubt = Phase.FORWARD, None, False

    def pass_pivot(self) -> None:
        """Records that the pivot is done: steps from before the pivot are no longer compensated.

        Raises:
            DefinitionError: No pivot is under way.
        """
        self._check_pivot()
        self.phase, self.pivot, self.is_pivot_in_doubt = Phase.PAST_PIVOT, None, False

    def begin_confirmation(self) -> None:
        """Records that the confirmations of the scope start: from here on, nothing is compensated.

        Raises:
            DefinitionError: The scope is not going forward, or the pivot is under way.
        """
        if self.phase not in (Phase.FORWARD, Phase.PAST_PIVOT):
            raise DefinitionError(f"a saga that is {self.phase.value} cannot confirm its steps")
        self.phase = Phase.PAST_PIVOT

    def request_compensation(self, cause: Exception) -> bool:
        """Requests the compensation of the scope; the first cause counts.

        Returns:
            Whether the request is the first before the end of the pivot. Requests after the pivot change no
            state.
        """
        if not self.is_before_pivot or self.compensation_cause is not None:
            return False
        self.compensation_cause = cause
        return True

    def begin_compensation(self) -> None:
        """Records that the scope starts compensating; a hold ends here.

        Raises:
            DefinitionError: The pivot is under way or done, or the scope is not open.
        """
        if self.is_past_pivot:
            raise DefinitionError("nothing is compensated after the pivot")
        if self.phase not in (Phase.FORWARD, Phase.COMPENSATING):
            raise DefinitionError(f"a saga that is {self.phase.value} cannot start compensating")
        self.phase, self.is_held, self.is_stuck = Phase.COMPENSATING, False, False

    def end_stuck_compensation(self) -> None:
        """Records that all steps are compensated: a stuck scope is no longer stuck.

        Raises:
            DefinitionError: The scope is not compensating.
        """
        self._check_compensating()
        self.is_stuck = False

    def end_compensation(self) -> None:
        """Ends a scope whose steps are all compensated.

        Raises:
            DefinitionError: The scope is not compensating.
        """
        self._check_compensating()
        self._end()

    def complete(self) -> None:
        """Ends the scope as completed.

        Raises:
            DefinitionError: The scope is not going forward, or the pivot is under way.
        """
        if self.phase not in (Phase.FORWARD, Phase.PAST_PIVOT):
            raise DefinitionError(f"a saga that is {self.phase.value} cannot complete")
        self._end()

    def abort(self) -> None:
        """Closes the scope because the workflow's code fails, and the workflow task is repeated."""
        self.phase = self._last_phase = Phase.ENDED
        self.pivot, self.is_pivot_in_doubt = None, False

    def hold(self) -> None:
        """Holds the scope: no further step starts until `resume`.

        Raises:
            DefinitionError: The scope is not open, or compensates.
        """
        if not self.is_open or self.phase is Phase.COMPENSATING:
            raise DefinitionError(f"a saga that is {self.phase.value} cannot be held")
        self.is_held = True

    def resume(self) -> None:
        """Ends a hold.

        Raises:
            DefinitionError: The scope is not held.
        """
        if not self.is_held:
            raise DefinitionError("the saga is not held: there is nothing to resume")
        self.is_held = False

    def mark_stuck(self, address: str, step: StuckStep) -> None:
        """Records that a compensation, the pivot or a step after the pivot keeps failing.

        Raises:
            DefinitionError: The scope is not open.
        """
        if not self.is_open:
            raise DefinitionError(f"{address!r} cannot be stuck: the saga is not open")
        self.stuck_steps[address] = step
        self.is_stuck = True

    def mark_blocked(self) -> None:
        """Records that the scope cannot go on for a reason other than a failing step.

        Raises:
            DefinitionError: The scope is not open.
        """
        if not self.is_open:
            raise DefinitionError(f"a saga that is {self.phase.value} cannot be stuck")
        self.is_stuck = True

    def mark_resolved(self, address: str) -> bool:
        """Records that a step succeeded or was resolved, and returns whether the step was stuck before.

        A forward scope is stuck as long as a step is stuck. A compensating scope stays stuck until all steps
        are compensated, because the next compensation has not been tried yet.
        """
        was_stuck = self.stuck_steps.pop(address, None) is not None
        if self.phase is not Phase.COMPENSATING and not self.stuck_steps:
            self.is_stuck = False
        return was_stuck

    def resolve_manually(self, address: str, resolution: ManualResolution, outcome: ActivityOutcome) -> None:
        """Records the manual resolution of a stuck step.

        Raises:
            DefinitionError: The step is not stuck, or `refusal_of_resolution` has a reason.
        """
        if address not in self.stuck_steps:
            raise DefinitionError(f"{address!r} is not stuck")
        if reason := self.refusal_of_resolution(address):
            raise DefinitionError(reason)
        self.resolutions[address] = resolution
        self.resolved_outcomes[address] = outcome

    def refusal_of_resolution(self, address: str) -> str | None:
        """The reason why a stuck step cannot be resolved manually now, as a sentence."""
        if address in self.resolved_outcomes:
            return f"{address!r} was resolved already"
        if address in self.retrying:
            return f"{address!r} is being tried again, and its outcome is not known yet: ask again afterwards"
        return None

    def _check_pivot(self) -> None:
        if self.phase is not Phase.PIVOT:
            raise DefinitionError(f"no pivot is under way in a saga that is {self.phase.value}")

    def _check_compensating(self) -> None:
        if self.phase is not Phase.COMPENSATING:
            raise DefinitionError(f"a saga that is {self.phase.value} is not compensating")

    def _end(self) -> None:
        self._last_phase, self.phase = self.phase, Phase.ENDED
        self.is_held = self.is_stuck = False
