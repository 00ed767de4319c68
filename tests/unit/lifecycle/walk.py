"""Every state of a lifecycle, with every call in each state, compared with the oracle."""

from collections import deque
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

from sagas import DefinitionError
from sagas._core.activity_outcome import ActivityOutcome
from sagas._core.lifecycle import Lifecycle, Phase, StuckStep
from sagas._core.outcome import Outcome
from sagas._core.purpose import Purpose

from .oracle import CALLS, STEPS, Call, Trace

STUCK = StuckStep(Purpose.PIVOT, "the line is down")
DONE = ActivityOutcome(Outcome.DONE)


class BrokenPromiseError(AssertionError):
    """The lifecycle and the oracle do not agree."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The size of a walk: how many states there are, and how many calls were made."""

    states: int
    calls: int


def walk(make: Callable[..., Lifecycle] = Lifecycle) -> Walk:
    """Makes every call in every state that can be reached.

    Raises:
        BrokenPromiseError: The lifecycle and the oracle do not agree.
    """
    waiting = deque((make(starts_past_pivot=past), Trace(past)) for past in (False, True))
    seen: set[object] = set()
    calls = 0
    while waiting:
        lifecycle, trace = waiting.popleft()
        if (state := _state(lifecycle, trace)) in seen:
            continue
        seen.add(state)
        for call in CALLS:
            calls += 1
            after = deepcopy(lifecycle)
            if _make(after, call) is not trace.allows(call):
                raise BrokenPromiseError(f"{call} in phase {trace.phase}: {trace.calls}")
            expected = trace.then(call) if trace.allows(call) else trace
            _compare(after, expected)
            if trace.allows(call):
                waiting.append((after, expected))
    return Walk(len(seen), calls)


def _state(lifecycle: Lifecycle, trace: Trace) -> object:
    """The state of a lifecycle and the oracle's answers: two traces to one state are followed once."""
    return (
        lifecycle.phase,
        lifecycle.is_held,
        lifecycle.is_stuck,
        lifecycle.is_pivot_in_doubt,
        lifecycle.compensation_cause is None,
        frozenset(lifecycle.stuck_steps),
        frozenset(lifecycle.retrying),
        frozenset(lifecycle.resolutions),
        trace.starts_past_pivot,
        trace.is_past_pivot,
        trace.has_compensated,
        trace.has_completed,
        trace.is_aborted,
    )


def _make(lifecycle: Lifecycle, call: Call) -> bool:
    """Makes a call, and returns whether the lifecycle accepts the call."""
    name, step = call
    arguments: dict[str, tuple[object, ...]] = {
        "check_start": ("s",),
        "start_pivot": ("pay",),
        "request_compensation": (ValueError("enough"),),
        "mark_stuck": (step, STUCK),
        "mark_resolved": (step,),
        "resolve_manually": (step, "skipped", DONE),
    }
    try:
        if name == "retry":
            lifecycle.retrying.symmetric_difference_update({step})
        else:
            getattr(lifecycle, name)(*arguments.get(name, ()))
    except DefinitionError:
        return False
    return True


def _compare(lifecycle: Lifecycle, trace: Trace) -> None:
    found = (
        lifecycle.phase,
        lifecycle.status,
        lifecycle.is_open,
        lifecycle.is_before_pivot,
        lifecycle.is_past_pivot,
        lifecycle.has_compensated,
        lifecycle.has_completed,
        lifecycle.blocks_cancel,
        lifecycle.is_held and lifecycle.is_open,
        lifecycle.compensation_cause is not None,
        lifecycle.pivot,
        frozenset(lifecycle.stuck_steps),
        frozenset(lifecycle.resolutions),
        [lifecycle.refusal_of_resolution(step) is None for step in STEPS],
    )
    promised = (
        trace.phase,
        trace.status,
        trace.phase not in (Phase.NOT_OPENED, Phase.ENDED),
        trace.phase in (Phase.FORWARD, Phase.PIVOT),
        trace.is_past_pivot,
        trace.has_compensated,
        trace.has_completed,
        trace.blocks_cancel,
        trace.is_held and trace.phase is not Phase.ENDED,
        trace.is_requested,
        "pay" if trace.phase is Phase.PIVOT else None,
        trace.stuck,
        trace.resolved,
        [step not in trace.resolved and step not in trace.retrying for step in STEPS],
    )
    if found != promised:
        raise BrokenPromiseError(f"{found} instead of {promised} after {trace.calls}")
