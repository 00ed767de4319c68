"""Confirmed trip: seat and room are held, the customer decides, and both are confirmed or cancelled."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.patterns.operations import operation
    from sagas import Saga, action


class Offer(BaseModel):
    """A trip that is offered to a customer."""

    id: str


seat = (
    action(operation("hold-seat", Offer))
    .confirmed_by(operation("take-seat", Offer))
    .compensated_by(operation("free-seat", Offer))
)
room = (
    action(operation("hold-room", Offer))
    .confirmed_by(operation("take-room", Offer))
    .compensated_by(operation("free-room", Offer))
)


@workflow.defn
class ConfirmedTripSaga:
    """Holds a seat and a room until the customer has decided."""

    @workflow.run
    async def run(self, offer: Offer) -> str:
        """Returns the customer who takes the offer."""
        async with Saga() as saga:
            await saga.step(seat, offer)
            await saga.step(room, offer)
            decision = await saga.approval("offer", role="customer", timeout=timedelta(days=2))
        return decision.by
