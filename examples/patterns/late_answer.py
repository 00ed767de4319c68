"""Late answer: carrier A, then B, then C; an answer that comes too late is compensated."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from examples.patterns.operations import Receipt, operation, step
    from sagas import Saga, action


class Parcel(BaseModel):
    """A parcel to deliver."""

    id: str


express = step("book-express", "cancel-express", Parcel)
courier = step("book-courier", "cancel-courier", Parcel)
post = step("book-post", "cancel-post", Parcel)
hand_over = action(operation("hand-over-parcel", Parcel))


@workflow.defn
class DeliverySaga:
    """Books the first carrier that answers in time."""

    @workflow.run
    async def run(self, parcel: Parcel) -> Receipt:
        """Books a carrier, and hands the parcel over."""
        async with Saga() as saga:
            booking = await saga.first_of(
                saga.step(express, parcel),
                saga.step(courier, parcel),
                saga.step(post, parcel),
                after=timedelta(seconds=2),
            )
            await saga.pivot(hand_over, parcel)
            return booking
