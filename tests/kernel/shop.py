"""A shop as docs/operating.md has it: an order whose steps fail as a test says."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from sagas import Policy, RejectedError, Saga, action

ONCE = Policy(attempts=1)
RARELY = Policy(attempts=1, pause=timedelta(hours=1), longest_pause=timedelta(hours=1))
"""For the pivot, which is tried again by itself while nobody knows its outcome: a person comes first."""


class Order(BaseModel):
    """What somebody wants to have."""

    id: str
    is_large: bool = False


class Parcel(BaseModel):
    """It is on its way."""

    parcel_id: str


@dataclass
class Warehouse:
    """Whoever the order needs: what they refuse or break, they refuse or break so many times."""

    refuses: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    breaks: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    done: list[tuple[str, str]] = field(default_factory=list)
    """What was done, for which order."""
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    """What waits until it is opened."""

    def activities(self) -> list[Callable[..., Any]]:
        """What a worker of the shop needs."""
        return [
            self.reserve_stock,
            self.release_stock,
            self.screen_order,
            self.charge_card,
            self.refund_card,
            self.create_shipment,
        ]

    async def carry_out(self, order: Order) -> None:
        """Does what is asked for."""
        name = activity.info().activity_type
        if name in self.gates:
            await self.gates[name].wait()
        if self.refuses[name]:
            self.refuses[name] -= 1
            raise RejectedError("warehouse_closed", "the warehouse is closed")
        if self.breaks[name]:
            self.breaks[name] -= 1
            raise ApplicationError("the line is dead", type="Broken", non_retryable=True)
        self.done.append((name, order.id))

    @activity.defn(name="reserve-stock")
    async def reserve_stock(self, order: Order) -> None:
        await self.carry_out(order)

    @activity.defn(name="release-stock")
    async def release_stock(self, order: Order) -> None:
        await self.carry_out(order)

    @activity.defn(name="screen-order")
    async def screen_order(self, order: Order) -> None:
        await self.carry_out(order)

    @activity.defn(name="charge-card")
    async def charge_card(self, order: Order) -> None:
        await self.carry_out(order)

    @activity.defn(name="refund-card")
    async def refund_card(self, order: Order) -> None:
        await self.carry_out(order)

    @activity.defn(name="create-shipment")
    async def create_shipment(self, order: Order) -> Parcel:
        await self.carry_out(order)
        return Parcel(parcel_id=f"p-{order.id}")


reserve = action(Warehouse.reserve_stock, policy=ONCE).compensated_by(Warehouse.release_stock, policy=ONCE)
screen = action(Warehouse.screen_order, policy=ONCE).without_compensation(because="it changes nothing")
charge = action(Warehouse.charge_card, policy=ONCE).compensated_by(Warehouse.refund_card, policy=ONCE)
ship = action(Warehouse.create_shipment, policy=RARELY)


@workflow.defn
class OrderSaga:
    """Brings a customer what was ordered, after a decision where it is much."""

    @workflow.run
    async def run(self, order: Order) -> Parcel:
        async with Saga() as saga:
            await saga.step(reserve, order)
            await saga.step(screen, order)
            await saga.step(charge, order)
            if order.is_large:
                await saga.approval("large-order", role="manager")
            return await saga.pivot(ship, order)
