"""How a saga ended, seen from outside: what every service holds of it, and whether the books balance."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

COMPLETED: Mapping[str, tuple[str, ...]] = {
    "order": ("approve-order", "create-order"),
    "inventory": ("reserve-stock",),
    "payment": ("authorize-payment", "capture-payment"),
    "shipping": ("create-shipment",),
}
"""The effects of an order that was fulfilled, per service."""

PAID: Mapping[str, tuple[str, ...]] = {"payment": ("authorize-payment", "capture-payment")}
"""The effects of a payment without an order."""

NOTHING: Mapping[str, tuple[str, ...]] = {}
"""Every effect is made up for, or never happened."""


class Services(Protocol):
    """Who can be asked for the state of each service."""

    @property
    def urls(self) -> Mapping[str, str]:
        """The services by name."""
        ...

    async def get(self, service: str, path: str) -> dict[str, object]:
        """What a service answers to a question about its state."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is left of one order in all services.

    Args:
        effects: The actions whose effect is present, per service that has any, in alphabetical order.
        told: The subjects of what the customer was told.
        net: What the customer has paid in the end, in minor units.
        broken: The books that do not balance: the payment ledger, the stock; empty if all do.
    """

    effects: Mapping[str, tuple[str, ...]]
    told: tuple[str, ...]
    net: int
    broken: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line for people: what is there, service by service."""
        there = [f"{service}: {', '.join(names)}" for service, names in self.effects.items()]
        return "; ".join(there) or "nothing is left"


async def ending_of(services: Services, order_id: str) -> Ending:
    """Asks every service what it holds of an order, and those that keep books whether they balance."""
    names = sorted(services.urls)
    states = dict(
        zip(names, await asyncio.gather(*(services.get(n, f"/state/{order_id}") for n in names)), strict=True)
    )
    books = {name: await services.get(name, "/balance") for name in ("payment", "inventory")}
    totals = cast("Mapping[str, Mapping[str, int]]", states["payment"]["totals"])
    notices = cast("list[Mapping[str, str]]", states["notification"]["notices"])
    return Ending(
        effects={
            name: tuple(sorted(cast("list[str]", state["effects"])))
            for name, state in states.items()
            if state["effects"] and name != "notification"
        },
        told=tuple(sorted(notice["subject"] for notice in notices)),
        net=sum(total["net"] for total in totals.values()),
        broken=tuple(name for name, book in books.items() if book["is_conserved"] is not True),
    )
