"""Savepoint: a failed part of the trip is compensated, and the trip goes another way."""

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.patterns.operations import Receipt, operation, step
    from sagas import Saga, SectionCompensatedError, action


class Trip(BaseModel):
    """A trip to a lake."""

    id: str


train = step("book-train", "cancel-train", Trip)
pitch = step("book-pitch", "cancel-pitch", Trip)
boat = step("rent-boat", "return-boat", Trip)
hut = step("book-hut", "cancel-hut", Trip)
pay = action(operation("pay-trip", Trip))


@workflow.defn
class LakeTripSaga:
    """Books a pitch with a boat, or else a hut; the train stays booked in both cases."""

    @workflow.run
    async def run(self, trip: Trip) -> Receipt:
        """Books and pays the trip."""
        async with Saga() as saga:
            await saga.step(train, trip)
            try:
                async with saga.section("camping"):
                    await saga.step(pitch, trip)
                    await saga.step(boat, trip)
            except SectionCompensatedError:
                await saga.step(hut, trip)
            return await saga.pivot(pay, trip)
