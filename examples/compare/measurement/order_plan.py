"""The orders of a comparison: the same in both styles, a fifth of them in trouble, all fixed by a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from examples.order.messages import Order
from examples.order.scenarios import an_order

FAILING_SHARE = 5
"""One order in so many meets trouble."""

TROUBLES: dict[str, Callable[[str], Order]] = {
    "declined": an_order(card="tok_declined"),
    "out of stock": an_order(sku="SOLD-OUT"),
    "capture refused": an_order(card="tok_capture_refused"),
    "shipment refused": an_order(postal_code="00001"),
    "reply lost": an_order(card="tok_capture_reply_lost"),
}
"""What can happen to an order, in equal shares; see docs/test-data.md."""

COMPLETES = {"well", "reply lost"}
"""A lost reply is trouble, but the effect is there, and the order goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One order of a comparison, before it has an id.

    Args:
        name: The same in both styles; with the prefix of the style it is the order's id.
        trouble: A key of `TROUBLES`, or `well`.
    """

    name: str
    trouble: str

    @property
    def completes(self) -> bool:
        """Whether it has to be completed; otherwise it has to be compensated."""
        return self.trouble in COMPLETES

    def order(self, prefix: str) -> Order:
        """The order, under the prefix of a style."""
        build = TROUBLES.get(self.trouble, an_order())
        return build(f"{prefix}{self.name}")


def plan(count: int, *, seed: int) -> tuple[Planned, ...]:
    """So many orders, the troubles spread evenly over them; the same ones for the same seed."""
    dice = random.Random(seed)
    kinds = list(TROUBLES)
    dice.shuffle(kinds)
    troubles = [kinds[n % len(kinds)] for n in range(count // FAILING_SHARE)]
    all_of_them = [*troubles, *["well"] * (count - len(troubles))]
    dice.shuffle(all_of_them)
    return tuple(Planned(name=f"{n:05d}", trouble=trouble) for n, trouble in enumerate(all_of_them))
