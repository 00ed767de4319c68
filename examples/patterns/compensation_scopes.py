"""Compensation scopes: only completed steps, and all attempted steps."""

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.patterns.operations import Receipt, operation
    from sagas import CompensationScope, Operation, ProbeResult, Saga, action


class Booking(BaseModel):
    """A booking of a room and a car."""

    id: str


find_room = Operation(name="find-room", participant="room", message=Booking, result=ProbeResult[Receipt])
known_room = action(operation("book-room", Booking), probe=find_room).compensated_by(
    operation("cancel-room", Booking)
)
car = action(operation("book-car", Booking)).compensated_by(operation("cancel-car", Booking))
pay = action(operation("pay-booking", Booking))


@workflow.defn
class CompletedOnlySaga:
    """Compensates completed steps only: a probe finds out whether a booking in doubt was made."""

    @workflow.run
    async def run(self, booking: Booking) -> Receipt:
        """Books and pays the room."""
        async with Saga() as saga:
            await saga.step(known_room, booking)
            return await saga.pivot(pay, booking)


@workflow.defn
class AttemptedSaga:
    """Compensates rejected steps as well: a refusing car rental may leave a held card."""

    @workflow.run
    async def run(self, booking: Booking) -> Receipt:
        """Books and pays the car."""
        async with Saga(scope=CompensationScope.ATTEMPTED) as saga:
            await saga.step(car, booking)
            return await saga.pivot(pay, booking)
