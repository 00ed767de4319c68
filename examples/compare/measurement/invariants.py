"""What must be true after a comparison, in both styles; each is looked up in the services' own data."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from examples.compare.measurement.figures import Invariant
from examples.compare.measurement.order_plan import Planned
from examples.compare.measurement.run import Placed
from examples.stack.end_state import COMPLETED, NOTHING, Ending

SHOWN = 3
"""How many orders a broken invariant names."""

Endings = Mapping[str, Mapping[str, Ending]]
"""Per style, how each order has ended, by the name that it has in both."""


def end_state(ending: Ending) -> str:
    """`completed`, `compensated`, or `unfinished`: neither all effects are there nor none."""
    if ending.effects == COMPLETED and ending.order == "approved":
        return "completed"
    if ending.effects == NOTHING and ending.order == "cancelled" and ending.told:
        return "compensated"
    return "unfinished"


def differences(endings: Endings) -> list[str]:
    """What differs between the styles, order by order; nothing if the end states are identical."""
    (_, first), *others = endings.items()
    found: list[str] = []
    for style, second in others:
        for name in sorted(first.keys() | second.keys()):
            one, other = first.get(name), second.get(name)
            if one is None or other is None:
                found.append(f"{name}: only in one style")
            elif one != other:
                found.append(f"{name}: {one.summary}; {style}: {other.summary}")
    return found


def invariants(endings: Endings, placed: Iterable[Placed], waiting: Mapping[str, int]) -> list[Invariant]:
    """Checks everything.

    Args:
        endings: How the orders have ended.
        placed: The orders of all styles, with what was planned for them.
        waiting: How many events wait in the outbox of each service.
    """
    every = [(f"{style} {name}", ending) for style, each in endings.items() for name, ending in each.items()]
    planned = {each.planned.name: each.planned for each in placed}
    return [
        _holds("the end states are identical in both styles, order by order", differences(endings)),
        _holds(
            "every order has ended",
            [name for name, ending in every if end_state(ending) == "unfinished"],
        ),
        _holds("every order has ended as its data says", _surprises(endings, planned)),
        _holds(
            "the ledger sums to zero",
            [name for name, ending in every if ending.ledger or "payment" in ending.broken],
        ),
        _holds("the stock is conserved", [name for name, ending in every if "inventory" in ending.broken]),
        _holds("what is reserved is what was shipped", [n for n, e in every if e.reserved != e.shipped]),
        _holds("who gets no parcel has paid nothing", [n for n, e in every if not _is_paid_right(e)]),
        _holds("nobody was told anything twice", [n for n, e in every if len(set(e.told)) < len(e.told)]),
        _holds("all outboxes are drained", [f"{name}: {count}" for name, count in waiting.items() if count]),
    ]


def _surprises(endings: Endings, planned: Mapping[str, Planned]) -> Iterator[str]:
    for style, each in endings.items():
        for name, plan in planned.items():
            expected = "completed" if plan.completes else "compensated"
            found = end_state(each[name]) if name in each else "lost"
            if found != expected:
                yield f"{style} {name} ({plan.trouble}) should be {expected}, and is {found}"


def _is_paid_right(ending: Ending) -> bool:
    return (ending.captured > ending.refunded) == (ending.shipped > 0)


def _holds(name: str, broken: Iterable[str]) -> Invariant:
    found: Sequence[str] = list(broken)
    detail = "; ".join(found[:SHOWN]) + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
    return Invariant(name=name, held=not found, detail=detail)
