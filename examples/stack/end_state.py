"""The end state of a saga: the effects in every service, the notices, and whether the books balance."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

NO_EFFECTS: Mapping[str, tuple[str, ...]] = {}
"""Every effect is compensated, or never happened."""


class ServiceReader(Protocol):
    """Reads the state of each service."""

    @property
    def urls(self) -> Mapping[str, str]:
        """The services by name."""
        ...

    async def get(self, service: str, path: str) -> dict[str, object]:
        """Returns the answer of a service to `GET {path}`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EndState:
    """The state of an order, summed over all running services.

    Args:
        effects: The actions with a present effect, per service, in alphabetical order.
        notices: The subjects of the notices to the customer, in alphabetical order.
        order: The status of the order, or `None` if no order service knows the order.
        reserved: The number of reserved articles.
        shipped: The number of shipped articles.
        captured: The amount taken from the customer, in minor units.
        refunded: The amount returned to the customer, in minor units.
        ledger: The sum of all entries of the payment ledger; 0 if the books balance.
        unbalanced: The services without conserved totals.
    """

    effects: Mapping[str, tuple[str, ...]]
    notices: tuple[str, ...]
    order: str | None
    reserved: int
    shipped: int
    captured: int
    refunded: int
    ledger: int
    unbalanced: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The state of the order in a line, for people."""
        return " · ".join(
            (
                f"order: {self.order or 'none'}",
                f"reserved: {self.reserved}",
                f"captured: {self.captured / 100:.2f}, refunded: {self.refunded / 100:.2f}",
                f"shipped: {self.shipped}",
                f"ledger sum: {self.ledger}",
                f"notices: {', '.join(self.notices) or 'none'}",
            )
        )


async def read_end_state(services: ServiceReader, order_id: str) -> EndState:
    """Reads the state of an order in every service, and the balances of `payment` and `inventory`."""
    names = sorted(services.urls)
    answers = await asyncio.gather(*(services.get(name, f"/state/{order_id}") for name in names))
    states = dict(zip(names, answers, strict=True))
    balances = {
        name: await services.get(name, "/balance") for name in ("payment", "inventory") if name in states
    }
    totals = cast("Mapping[str, Mapping[str, int]]", states["payment"]["totals"]).values()
    accounts = cast("Mapping[str, Mapping[str, int]]", balances["payment"]["accounts"]).values()
    notices = cast("list[Mapping[str, str]]", states["notification"]["notices"])
    return EndState(
        effects={
            name: tuple(sorted(cast("list[str]", state["effects"])))
            for name, state in states.items()
            if state["effects"] and name != "notification"
        },
        notices=tuple(sorted(notice["subject"] for notice in notices)),
        order=cast("str | None", states.get("order", {}).get("status")),
        reserved=_quantity(states.get("inventory", {}).get("reserved", {})),
        shipped=_quantity(states.get("shipping", {}).get("shipped", {})),
        captured=sum(total["captured"] for total in totals),
        refunded=sum(total["refunded"] for total in totals),
        ledger=sum(account["sum"] for account in accounts),
        unbalanced=tuple(name for name, each in balances.items() if each["is_conserved"] is not True),
    )


def _quantity(articles: object) -> int:
    return sum(cast("Mapping[str, int]", articles).values())
