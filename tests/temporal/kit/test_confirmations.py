"""The kit plays confirmations, and keeps the book of confirmed effects."""

from pydantic import BaseModel
from temporalio import workflow
from temporalio.client import Client

from sagas import Compensated, Completed, Operation, Saga, action
from sagas.testing import EffectState, confirmation_of, fails, rejects, run_saga


class Trip(BaseModel):
    """A trip."""

    id: str = "1"


def operation(name: str) -> Operation[Trip, str]:
    return Operation(name=name, participant="airline", message=Trip, result=str)


hold = (
    action(operation("hold-seat")).confirmed_by(operation("take-seat")).compensated_by(operation("free-seat"))
)
pay = action(operation("pay"))


@workflow.defn
class SeatSaga:
    """Holds a seat, and pays."""

    @workflow.run
    async def run(self, trip: Trip) -> str:
        async with Saga() as saga:
            await saga.step(hold, trip)
            return await saga.pivot(pay, trip)


async def test_a_confirmed_effect_is_in_trace_and_book(client: Client) -> None:
    """A failing confirmation is repeated."""
    run = await run_saga(SeatSaga.run, Trip(), steps={confirmation_of(hold): [fails()]}, client=client)

    run.assert_outcome(Completed)
    run.assert_trace("hold-seat", "pay", "confirm hold-seat")
    run.assert_remaining_effects("hold-seat", "pay")
    assert run.effects["hold-seat"] is EffectState.CONFIRMED


async def test_a_cancelled_reservation_is_not_confirmed(client: Client) -> None:
    """The payment is rejected."""
    run = await run_saga(SeatSaga.run, Trip(), steps={pay: rejects("declined")}, client=client)

    run.assert_outcome(Compensated, code="declined")
    run.assert_trace("hold-seat", "pay rejected", "compensate hold-seat")
    assert run.effects["hold-seat"] is EffectState.COMPENSATED
