"""The scenarios of the confirmed trip."""

from datetime import timedelta

from temporalio.client import Client

from examples.patterns.confirmed_trip import ConfirmedTripSaga, Offer, room
from sagas import Compensated, Completed
from sagas.testing import SagaRun, approves, confirmation_of, disapproves, fails, run_saga

OFFER = Offer(id="7")


async def customer_takes_the_offer(client: Client) -> SagaRun:
    """The customer takes the offer after a day: seat and room are confirmed, the room at the second try."""
    run = await run_saga(
        ConfirmedTripSaga.run,
        OFFER,
        client=client,
        steps={confirmation_of(room): [fails()]},
        inputs=[approves("offer", role="customer", by="ada", delay=timedelta(days=1))],
    )
    run.assert_outcome(Completed, result="ada")
    run.assert_trace("hold-seat", "hold-room", "confirm hold-seat", "confirm hold-room")
    return run


async def customer_declines_the_offer(client: Client) -> SagaRun:
    """The customer declines: seat and room are free again."""
    run = await run_saga(
        ConfirmedTripSaga.run,
        OFFER,
        client=client,
        inputs=[disapproves("offer", role="customer", by="ada")],
    )
    run.assert_outcome(Compensated, code="not_approved")
    run.assert_trace("hold-seat", "hold-room", "compensate hold-room", "compensate hold-seat")
    run.assert_remaining_effects()
    return run


async def customer_does_not_decide(client: Client) -> SagaRun:
    """No decision comes within two days: seat and room are free again."""
    run = await run_saga(ConfirmedTripSaga.run, OFFER, client=client)
    run.assert_outcome(Compensated, code="deadline_exceeded")
    run.assert_remaining_effects()
    return run
