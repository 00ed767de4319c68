"""The invariants of a comparison, checked in the data of the services after both styles have run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from examples.order.scenarios import ORDER_EFFECTS
from examples.stack.end_state import NO_EFFECTS, EndState

from .figures import Invariant
from .load import PlacedOrder
from .order_plan import PlannedOrder

LISTED_ORDERS = 3
"""The number of orders named by a broken invariant."""

EndStates = Mapping[str, Mapping[str, EndState]]
"""Per style, the end state of each order, by the common name of both styles."""


def classify_end(state: EndState) -> str:
    """`completed`, `compensated`, or `unfinished`: some effects are present, and some are not."""
    if state.effects == ORDER_EFFECTS and state.order == "approved":
        return "completed"
    if state.effects == NO_EFFECTS and state.order == "cancelled" and state.notices:
        return "compensated"
    return "unfinished"


def find_differences(end_states: EndStates) -> list[str]:
    """Returns the differences between the styles, order by order; empty if the end states are identical."""
    (_, first), *others = end_states.items()
    found: list[str] = []
    for style, second in others:
        for name in sorted(first.keys() | second.keys()):
            one, other = first.get(name), second.get(name)
            if one is None or other is None:
                found.append(f"{name}: only in one style")
            elif one != other:
                found.append(f"{name}: {one.summary}; {style}: {other.summary}")
    return found


def check_invariants(
    end_states: EndStates, placed: Iterable[PlacedOrder], outbox_events: Mapping[str, int]
) -> list[Invariant]:
    """Checks all invariants.

    Args:
        end_states: The end states of the orders.
        placed: The orders of all styles, with their plans.
        outbox_events: The number of events in the outbox of each service.
    """
    every = [(f"{style} {name}", state) for style, each in end_states.items() for name, state in each.items()]
    planned = {each.planned.name: each.planned for each in placed}
    return [
        _invariant("both styles end every order in the same state", find_differences(end_states)),
        _invariant(
            "every order has ended",
            [name for name, state in every if classify_end(state) == "unfinished"],
        ),
        _invariant("every order has ended as planned", _unplanned_ends(end_states, planned)),
        _invariant(
            "the ledger sums to zero",
            [name for name, state in every if state.ledger or "payment" in state.unbalanced],
        ),
        _invariant(
            "the stock is conserved", [name for name, state in every if "inventory" in state.unbalanced]
        ),
        _invariant(
            "reserved and shipped quantities are equal", [n for n, s in every if s.reserved != s.shipped]
        ),
        _invariant(
            "only shipped orders are paid", [name for name, state in every if not _is_paid_if_shipped(state)]
        ),
        _invariant("no notice was sent twice", [n for n, s in every if len(set(s.notices)) < len(s.notices)]),
        _invariant(
            "all outboxes are empty", [f"{name}: {count}" for name, count in outbox_events.items() if count]
        ),
    ]


def _unplanned_ends(end_states: EndStates, planned: Mapping[str, PlannedOrder]) -> Iterator[str]:
    for style, each in end_states.items():
        for name, plan in planned.items():
            expected = "completed" if plan.completes else "compensated"
            found = classify_end(each[name]) if name in each else "lost"
            if found != expected:
                yield f"{style} {name} ({plan.kind}) is {found}; expected: {expected}"


def _is_paid_if_shipped(state: EndState) -> bool:
    return (state.captured > state.refunded) == (state.shipped > 0)


def _invariant(name: str, violations: Iterable[str]) -> Invariant:
    found: Sequence[str] = list(violations)
    more = f"; and {len(found) - LISTED_ORDERS} more" if len(found) > LISTED_ORDERS else ""
    return Invariant(name=name, held=not found, detail="; ".join(found[:LISTED_ORDERS]) + more)
