"""The lifecycle of a scope according to the promises, written over the accepted calls.

The lifecycle keeps a state; the oracle keeps the list of accepted calls, and derives every answer from
the list.
"""

from dataclasses import dataclass
from typing import TypeAlias

from sagas._core.lifecycle import Phase
from sagas._core.status import Status

Call: TypeAlias = "tuple[str, str]"
"""The name of a method, and the address of the step, where the method takes one."""

STEPS = ("a", "b")
CALLS: tuple[Call, ...] = (
    *(
        (name, "")
        for name in (
            "open",
            "check_start",
            "start_pivot",
            "mark_pivot_in_doubt",
            "withdraw_pivot",
            "pass_pivot",
            "begin_confirmation",
            "request_compensation",
            "begin_compensation",
            "end_stuck_compensation",
            "end_compensation",
            "complete",
            "abort",
            "hold",
            "resume",
            "mark_blocked",
        )
    ),
    *(
        (name, step)
        for name in ("mark_stuck", "mark_resolved", "retry", "resolve_manually")
        for step in STEPS
    ),
)
"""Every change of a lifecycle, with two steps that may be stuck."""

OPEN = (Phase.FORWARD, Phase.PIVOT, Phase.PAST_PIVOT, Phase.COMPENSATING)
ALLOWED = {
    "open": (Phase.NOT_OPENED,),
    "check_start": (Phase.FORWARD, Phase.PAST_PIVOT),
    "start_pivot": (Phase.FORWARD,),
    "mark_pivot_in_doubt": (Phase.PIVOT,),
    "withdraw_pivot": (Phase.PIVOT,),
    "pass_pivot": (Phase.PIVOT,),
    "begin_confirmation": (Phase.FORWARD, Phase.PAST_PIVOT),
    "request_compensation": tuple(Phase),
    "begin_compensation": (Phase.FORWARD, Phase.COMPENSATING),
    "end_stuck_compensation": (Phase.COMPENSATING,),
    "end_compensation": (Phase.COMPENSATING,),
    "complete": (Phase.FORWARD, Phase.PAST_PIVOT),
    "abort": tuple(Phase),
    "hold": (Phase.FORWARD, Phase.PIVOT, Phase.PAST_PIVOT),
    "resume": tuple(Phase),
    "mark_blocked": OPEN,
    "mark_stuck": OPEN,
    "mark_resolved": tuple(Phase),
    "retry": tuple(Phase),
    "resolve_manually": tuple(Phase),
}
"""The phases in which each call is legal, as far as the phase decides."""
NEXT_PHASE = {
    "start_pivot": Phase.PIVOT,
    "withdraw_pivot": Phase.FORWARD,
    "pass_pivot": Phase.PAST_PIVOT,
    "begin_confirmation": Phase.PAST_PIVOT,
    "begin_compensation": Phase.COMPENSATING,
    "end_compensation": Phase.ENDED,
    "complete": Phase.ENDED,
    "abort": Phase.ENDED,
}


@dataclass(frozen=True, slots=True)
class Trace:
    """The accepted calls of a scope.

    Args:
        starts_past_pivot: Whether an earlier run passed the pivot.
        calls: The accepted calls in their order.
    """

    starts_past_pivot: bool = False
    calls: tuple[Call, ...] = ()

    def then(self, call: Call) -> "Trace":
        """The trace with a further call."""
        return Trace(self.starts_past_pivot, (*self.calls, call))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the called methods."""
        return tuple(name for name, _ in self.calls)

    @property
    def phase(self) -> Phase:
        """The phase after the last change of the phase."""
        phase = Phase.NOT_OPENED
        for name in self.names:
            if name == "open":
                phase = Phase.PAST_PIVOT if self.starts_past_pivot else Phase.FORWARD
            phase = NEXT_PHASE.get(name, phase)
        return phase

    def allows(self, call: Call) -> bool:
        """Whether a call is legal now."""
        name, step = call
        if name == "resume":
            return self.is_held
        if name == "resolve_manually":
            return step in self.stuck and step not in self.resolved and step not in self.retrying
        return self.phase in ALLOWED[name]

    @property
    def is_aborted(self) -> bool:
        """Whether the code of the workflow failed."""
        return "abort" in self.names

    @property
    def is_past_pivot(self) -> bool:
        """P6: whether nothing is compensated any more."""
        passed = {"pass_pivot", "begin_confirmation"}
        return not self.is_aborted and (self.starts_past_pivot or not passed.isdisjoint(self.names))

    @property
    def has_compensated(self) -> bool:
        """P5: whether compensation has begun."""
        return not self.is_aborted and "begin_compensation" in self.names

    @property
    def has_completed(self) -> bool:
        """P1: whether the scope ended well."""
        return not self.is_aborted and "complete" in self.names

    @property
    def is_requested(self) -> bool:
        """Whether a request to compensate was made while the request counted."""
        return any(
            name == "request_compensation"
            and Trace(self.starts_past_pivot, self.calls[:n]).phase in (Phase.FORWARD, Phase.PIVOT)
            for n, name in enumerate(self.names)
        )

    @property
    def is_pivot_in_doubt(self) -> bool:
        """P6: whether the running pivot may have happened."""
        if self.phase is not Phase.PIVOT:
            return False
        return "mark_pivot_in_doubt" in self.names[_last(self.names, "start_pivot") :]

    @property
    def blocks_cancel(self) -> bool:
        """P6: whether a cancel must change nothing."""
        return self.is_pivot_in_doubt or self.is_past_pivot or self.has_completed

    @property
    def is_held(self) -> bool:
        """Whether the last hold has neither been resumed nor ended by a compensation or by the end."""
        ends = ("resume", "begin_compensation", "complete", "end_compensation")
        return _last(self.names, "hold") > max(_last(self.names, end) for end in ends)

    @property
    def stuck(self) -> frozenset[str]:
        """The stuck steps."""
        return frozenset(
            s for s in STEPS if _last(self.calls, ("mark_stuck", s)) > _last(self.calls, ("mark_resolved", s))
        )

    @property
    def retrying(self) -> frozenset[str]:
        """The steps with a running retry."""
        return frozenset(s for s in STEPS if self.calls.count(("retry", s)) % 2)

    @property
    def resolved(self) -> frozenset[str]:
        """The manually resolved steps."""
        return frozenset(s for s in STEPS if ("resolve_manually", s) in self.calls)

    @property
    def is_stuck(self) -> bool:
        """P8: whether the scope is stuck; a stuck compensation counts until everything is compensated."""
        is_stuck = False
        for n, (name, _) in enumerate(self.calls):
            before = Trace(self.starts_past_pivot, self.calls[: n + 1])
            if name in ("mark_stuck", "mark_blocked"):
                is_stuck = True
            elif name in ("begin_compensation", "end_stuck_compensation", "complete", "end_compensation") or (
                name == "mark_resolved" and before.phase is not Phase.COMPENSATING and not before.stuck
            ):
                is_stuck = False
        return is_stuck

    @property
    def status(self) -> Status:
        """The table of statuses in the README."""
        if self.phase is Phase.ENDED:
            ended = Status.COMPENSATED if self.has_compensated else Status.COMPLETED
            return Status.SETTLED if self.resolved else ended
        if self.is_stuck:
            return Status.STUCK
        if self.phase is Phase.COMPENSATING:
            return Status.COMPENSATING
        return Status.HELD if self.is_held else Status.RUNNING


def _last(calls: tuple[object, ...], call: object) -> int:
    """The place of the last matching call, counted from 1; 0 without a matching call."""
    return max((n for n, each in enumerate(calls, start=1) if each == call), default=0)
