"""The scenarios of the savepoint."""

from temporalio.client import Client

from examples.patterns.savepoint import LakeTripSaga, Trip, boat, pay
from sagas import Compensated, Completed
from sagas.testing import SagaRun, rejects, run_saga

TRIP = Trip(id="7")


async def no_boat(client: Client) -> SagaRun:
    """No boat is left: the pitch is cancelled, and the hut is booked."""
    run = await run_saga(LakeTripSaga.run, TRIP, client=client, steps={boat: rejects("no_boat")})
    run.assert_outcome(Completed)
    run.assert_trace(
        *("book-train", "book-pitch", "rent-boat rejected", "compensate book-pitch"),
        *("book-hut", "pay-trip"),
    )
    run.assert_remaining_effects("book-train", "book-hut", "pay-trip")
    return run


async def payment_refused(client: Client) -> SagaRun:
    """The payment is refused: the completed section is compensated with the saga."""
    run = await run_saga(LakeTripSaga.run, TRIP, client=client, steps={pay: rejects("no_funds")})
    run.assert_outcome(Compensated, code="no_funds")
    run.assert_trace(
        *("book-train", "book-pitch", "rent-boat", "pay-trip rejected"),
        *("compensate rent-boat", "compensate book-pitch", "compensate book-train"),
    )
    run.assert_remaining_effects()
    return run
