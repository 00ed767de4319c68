"""What the promises say of a saga, written from them and without a look at the ledger.

- P2: a saga completes only if everybody knows what became of each of its steps (`in_doubt`).
- P4: what may have happened is made up for, and nothing else (`effects`).
- P5: the newest *start* first, unless the saga says all at once; a child keeps its own order (`owed`).
- P6: nothing crosses the pivot backwards (`owed`).
- P8: of a child that ended without a word, nobody knows that it owes nothing (`lost`).
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import TypeAlias

from sagas import CompensationOrder, CompensationScope
from sagas._core.outcome import Outcome

Shape: TypeAlias = "str | tuple[Shape, ...] | list[Shape]"
"""What is to be made up for: one effect, a tuple of one after the other, a list of all at once."""

MAY_HAVE_HAPPENED = (Outcome.STARTED, Outcome.DONE, Outcome.UNKNOWN)
"""P4: nobody says that it did not. One that is under way when the saga turns round is one of them."""


class Kind(StrEnum):
    """What the author of a saga has written."""

    STEP = "step"
    """Its compensation asks for the result."""
    BEST_EFFORT = "best-effort"
    """Its compensation does not."""
    BARE = "step without compensation"
    CHILD = "child"
    PIVOT = "pivot"


@dataclass(frozen=True, slots=True)
class Part:
    """A step, a child or the pivot, and what became of it."""

    address: str
    kind: Kind
    outcome: Outcome = Outcome.STARTED
    owes: Shape = ()
    """What a child that completed has said that it owes."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of a saga at one moment.

    Args:
        parts: In the order of their start.
        is_past_pivot: Whether the pivot is done.
        has_turned: Whether it compensates.
        made_up: The effects whose compensation is through.
    """

    parts: tuple[Part, ...] = ()
    is_past_pivot: bool = False
    has_turned: bool = False
    made_up: frozenset[str] = frozenset()


def effects(part: Part, scope: CompensationScope) -> Shape:
    """P4: the effects of a part that must be made up for."""
    if part.kind is Kind.CHILD:
        # One that failed has compensated by itself; of one that is lost nobody knows what it owes.
        return part.owes if part.outcome is Outcome.DONE else ()
    if part.kind in (Kind.BARE, Kind.PIVOT):
        return ()
    counts_refusals = scope is CompensationScope.ATTEMPTED and part.outcome is Outcome.REJECTED
    return part.address if part.outcome in MAY_HAVE_HAPPENED or counts_refusals else ()


def owed(moment: Moment, scope: CompensationScope, order: CompensationOrder) -> Shape:
    """P5 and P6: all that must be made up for, whether it is through or not."""
    if moment.is_past_pivot:
        return ()
    newest_first = [effects(part, scope) for part in reversed(moment.parts)]
    return newest_first if order is CompensationOrder.PARALLEL else tuple(newest_first)


def asks(moment: Moment) -> dict[str, tuple[object, ...]]:
    """What the compensations that ask for a result are called with; the others get the message only."""
    return {
        part.address: ("message", result_of(part.address) if part.outcome is Outcome.DONE else None)
        for part in moment.parts
        if part.kind is Kind.STEP
    }


def result_of(address: str) -> str:
    """What the action of a step returns."""
    return f"result of {address}"


def lost(moment: Moment) -> tuple[str, ...]:
    """P8: the children of which nobody knows what they owe."""
    no_word = (Outcome.STARTED, Outcome.UNKNOWN)
    return tuple(p.address for p in moment.parts if p.kind is Kind.CHILD and p.outcome in no_word)


def in_doubt(moment: Moment, scope: CompensationScope) -> tuple[str, ...]:
    """P2: what may have left an effect that nobody counts on; its saga cannot complete.

    A best effort may fail in every way. A refusal may leave something behind where the author says so, by
    the scope and by a compensation for it. One under way is not known to be done, either.
    """
    return tuple(
        part.address
        for part in moment.parts
        if part.kind is not Kind.BEST_EFFORT
        and (
            part.outcome in (Outcome.UNKNOWN, Outcome.STARTED)
            or (part.outcome is Outcome.REJECTED and effects(part, scope) != ())
        )
    )


def addresses(names: tuple[str, ...]) -> tuple[str, ...]:
    """P3: the addresses of steps with these names, in the order of their start; no two are the same."""
    return tuple(
        name if (count := names[: n + 1].count(name)) == 1 else f"{name}#{count}"
        for n, name in enumerate(names)
    )


def precedence(shape: Shape) -> tuple[list[str], set[tuple[str, str]]]:
    """The effects in it in their order, and for which of them one must be through before the other begins."""
    if isinstance(shape, str):
        return [shape], set()
    names: list[str] = []
    pairs: set[tuple[str, str]] = set()
    for part in shape:
        if isinstance(part, str):
            more = [part]
        else:
            more, within = precedence(part)
            pairs |= within
        if isinstance(shape, tuple):
            pairs.update(product(names, more))
        names += more
    return names, pairs
