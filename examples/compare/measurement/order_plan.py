"""The orders of a comparison: equal in both styles, a fifth with a fault or a refusal, fixed by a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from examples.order.messages import Order
from examples.order.scenarios import an_order

DISTURBED_SHARE = 5
"""Every fifth order meets a fault or a refusal."""

DISTURBED: dict[str, Callable[[str], Order]] = {
    "declined": an_order(card="tok_declined"),
    "out of stock": an_order(sku="SOLD-OUT"),
    "capture refused": an_order(card="tok_capture_refused"),
    "shipment refused": an_order(postal_code="00001"),
    "reply lost": an_order(card="tok_capture_reply_lost"),
}
"""The faults and refusals, in equal shares; see docs/test-data.md."""

UNDISTURBED = "undisturbed"

COMPLETES = {UNDISTURBED, "reply lost"}
"""After a lost reply the effect is there, and the order completes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder:
    """An order of a comparison, without an id.

    Args:
        name: The same in both styles; the order id is a prefix of the style and this name.
        kind: A key of `DISTURBED`, or `UNDISTURBED`.
    """

    name: str
    kind: str

    @property
    def completes(self) -> bool:
        """Whether the order must complete; otherwise the order must be compensated."""
        return self.kind in COMPLETES

    def build(self, prefix: str) -> Order:
        """Builds the order, with the prefix of a style."""
        build = DISTURBED.get(self.kind, an_order())
        return build(f"{prefix}{self.name}")


def plan_orders(count: int, *, seed: int) -> tuple[PlannedOrder, ...]:
    """Plans `count` orders with the disturbed orders in random places; equal seeds give equal plans."""
    dice = random.Random(seed)
    kinds = list(DISTURBED)
    dice.shuffle(kinds)
    disturbed = [kinds[n % len(kinds)] for n in range(count // DISTURBED_SHARE)]
    planned = [*disturbed, *[UNDISTURBED] * (count - len(disturbed))]
    dice.shuffle(planned)
    return tuple(PlannedOrder(name=f"{n:05d}", kind=kind) for n, kind in enumerate(planned))
