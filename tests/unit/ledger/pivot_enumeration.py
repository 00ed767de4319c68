"""Enumerates the states of a saga with a pivot, from the start of the pivot on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from sagas._core.outcome import Outcome

from .oracle import StepKind
from .saga_enumeration import (
    NAMES,
    STILL_OPEN,
    WITHDRAWN,
    Branch,
    CheckedState,
    Ending,
    interleaved_states,
    sequential_states,
)


def states_around_pivot(
    state: CheckedState, endings: Mapping[StepKind, Sequence[Ending]], pivots: Sequence[Ending], length: int
) -> Iterator[CheckedState]:
    """Enumerates the sagas of up to `length` steps with one pivot, from the start of the pivot on.

    The other steps end as in `sequential_states`, before and after the pivot, and after a rejected pivot.
    """
    if length == 0:
        return
    yield from _states_from_pivot(state, pivots, lambda after: sequential_states(after, endings, length - 1))
    for longer in islice(sequential_states(state, endings, 1), 1, None):
        yield from states_around_pivot(longer, endings, pivots, length - 1)


def states_of_branches_around_pivot(
    state: CheckedState,
    before: tuple[Branch, ...],
    pivots: Sequence[Ending],
    after: tuple[Branch, ...],
    endings: Mapping[StepKind, Sequence[Ending]],
) -> Iterator[CheckedState]:
    """Enumerates branches, then the pivot alone, then branches, from the start of the pivot on."""
    length = len(state.names) + sum(map(len, before))
    for each in interleaved_states(state, before, endings):
        have_ended = all(part.outcome is not Outcome.STARTED for part in each.saga.steps)
        if len(each.names) == length and have_ended and not each.saga.is_compensating:
            yield from _states_from_pivot(each, pivots, lambda past: interleaved_states(past, after, endings))


def _states_from_pivot(
    state: CheckedState,
    pivots: Sequence[Ending],
    continue_from: Callable[[CheckedState], Iterator[CheckedState]],
) -> Iterator[CheckedState]:
    started = state.start(NAMES[len(state.names)], StepKind.PIVOT)
    for ending in pivots:
        if ending is STILL_OPEN:
            yield started
            continue
        ended = started.end(started.saga.steps[-1].address, ending)
        if ending[0] is WITHDRAWN:
            # A cancel has withdrawn the pivot: the saga starts compensating, and no step follows.
            yield from (ended, ended.start_compensating())
        else:
            yield from continue_from(ended)
