"""The scenarios of the compensation scopes."""

from temporalio.client import Client

from examples.patterns.compensation_scopes import AttemptedSaga, Booking, CompletedOnlySaga, car, known_room
from sagas import Compensated, Completed
from sagas.testing import SagaRun, fails, loses_reply, rejects, run_saga

BOOKING = Booking(id="7")


async def lost_booking_is_found(client: Client) -> SagaRun:
    """Every reply of the hotel is lost, and the probe finds the booking: the saga goes on."""
    run = await run_saga(
        CompletedOnlySaga.run, BOOKING, client=client, steps={known_room: [loses_reply()] * 5}
    )
    run.assert_outcome(Completed)
    run.assert_trace("book-room", "pay-booking")
    return run


async def failed_booking_is_not_compensated(client: Client) -> SagaRun:
    """No request reaches the hotel, and the probe finds no booking: no step is compensated."""
    run = await run_saga(CompletedOnlySaga.run, BOOKING, client=client, steps={known_room: fails()})
    run.assert_outcome(Compensated)
    run.assert_trace("book-room rejected")
    run.assert_remaining_effects()
    return run


async def rejected_step_is_compensated(client: Client) -> SagaRun:
    """The car rental refuses: with the scope *attempted*, the refused step is compensated as well."""
    run = await run_saga(AttemptedSaga.run, BOOKING, client=client, steps={car: rejects("no_car")})
    run.assert_outcome(Compensated, code="no_car")
    run.assert_trace("book-car rejected", "compensate book-car")
    return run
