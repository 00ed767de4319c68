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
        order: The status of the order, or `None` if the order service knows none.
        reserved: How many articles are set aside for it.
        shipped: How many articles have left.
        captured: What was taken from the customer, in minor units.
        refunded: What the customer got back, in minor units.
        ledger: The sum of all entries of the payment ledger, which is 0.
        broken: The services whose books do not balance; none, if all do.
    """

    effects: Mapping[str, tuple[str, ...]]
    told: tuple[str, ...]
    order: str | None
    reserved: int
    shipped: int
    captured: int
    refunded: int
    ledger: int
    broken: tuple[str, ...]

    @property
    def summary(self) -> str:
        """What every service holds, in one line for people."""
        return " · ".join(
            (
                f"order {self.order or 'unknown'}",
                f"reserved {self.reserved}",
                f"captured {self.captured / 100:.2f}, refunded {self.refunded / 100:.2f}",
                f"shipped {self.shipped}",
                f"ledger sum {self.ledger}",
                f"told: {', '.join(self.told) or 'nothing'}",
            )
        )


async def ending_of(services: Services, order_id: str) -> Ending:
    """Asks every service what it holds of an order, and those that keep books whether they balance."""
    names = sorted(services.urls)
    answers = await asyncio.gather(*(services.get(name, f"/state/{order_id}") for name in names))
    states = dict(zip(names, answers, strict=True))
    books = {name: await services.get(name, "/balance") for name in ("payment", "inventory")}
    totals = cast("Mapping[str, Mapping[str, int]]", states["payment"]["totals"]).values()
    accounts = cast("Mapping[str, Mapping[str, int]]", books["payment"]["accounts"]).values()
    notices = cast("list[Mapping[str, str]]", states["notification"]["notices"])
    return Ending(
        effects={
            name: tuple(sorted(cast("list[str]", state["effects"])))
            for name, state in states.items()
            if state["effects"] and name != "notification"
        },
        told=tuple(sorted(notice["subject"] for notice in notices)),
        order=cast("str | None", states["order"]["status"]),
        reserved=sum(cast("Mapping[str, int]", states["inventory"]["reserved"]).values()),
        shipped=sum(cast("Mapping[str, int]", states["shipping"]["shipped"]).values()),
        captured=sum(total["captured"] for total in totals),
        refunded=sum(total["refunded"] for total in totals),
        ledger=sum(account["sum"] for account in accounts),
        broken=tuple(name for name, book in books.items() if book["is_conserved"] is not True),
    )
