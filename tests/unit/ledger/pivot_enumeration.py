"""Everything that can happen to a saga with a pivot, from the moment on in which the pivot begins."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from sagas._core.outcome import Outcome

from .oracle import Kind
from .saga_enumeration import NAMES, UNDER_WAY, WITHDRAWN, Branch, Ending, Scene, in_turn, interleaved


def round_a_pivot(
    scene: Scene, endings: Mapping[Kind, Sequence[Ending]], pivots: Sequence[Ending], length: int
) -> Iterator[Scene]:
    """Every saga of up to so many parts one of which is the pivot, from the moment on in which that begins.

    The others end as in `in_turn`, before it and after it; after one that was refused as well.
    """
    if length == 0:
        return
    yield from _from_the_pivot_on(scene, pivots, lambda after: in_turn(after, endings, length - 1))
    for longer in islice(in_turn(scene, endings, 1), 1, None):
        yield from round_a_pivot(longer, endings, pivots, length - 1)


def groups_round_a_pivot(
    scene: Scene,
    before: tuple[Branch, ...],
    pivots: Sequence[Ending],
    after: tuple[Branch, ...],
    endings: Mapping[Kind, Sequence[Ending]],
) -> Iterator[Scene]:
    """Branches, then the pivot alone, and branches again; from the moment on in which the pivot begins."""
    length = len(scene.names) + sum(map(len, before))
    for each in interleaved(scene, before, endings):
        have_ended = all(part.outcome is not Outcome.STARTED for part in each.moment.parts)
        if len(each.names) == length and have_ended and not each.moment.has_turned:
            yield from _from_the_pivot_on(each, pivots, lambda past: interleaved(past, after, endings))


def _from_the_pivot_on(
    scene: Scene, pivots: Sequence[Ending], go_on: Callable[[Scene], Iterator[Scene]]
) -> Iterator[Scene]:
    begun = scene.start(NAMES[len(scene.names)], Kind.PIVOT)
    for ending in pivots:
        if ending is UNDER_WAY:
            yield begun
            continue
        ended = begun.end(begun.moment.parts[-1].address, ending)
        if ending[0] is WITHDRAWN:
            # By a cancel: the saga turns round, and nothing follows.
            yield from (ended, ended.turn())
        else:
            yield from go_on(ended)
