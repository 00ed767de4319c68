"""Three tests of a new user, of at most ten lines each: calls of services, a fan-out, an approval."""

from datetime import timedelta

from temporalio.client import Client

from sagas import Compensated, Completed
from sagas.testing import approves, rejects, run_saga

from .shop import Order, OrderSaga, charge


async def test_declined_card_releases_the_stock(saga_client: Client) -> None:
    """The services of a saga are scripted."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps={charge: rejects("card_declined")})
    run.assert_outcome(Compensated, code="card_declined")
    run.assert_trace("reserve-stock", "charge-card rejected", "compensate reserve-stock")
    run.assert_remaining_effects()


async def test_parcel_that_is_too_large_unpacks_the_nineteen_others(saga_client: Client) -> None:
    """A branch of a fan-out has an address of its own."""
    steps = {"pack-parcel#7": rejects("too_large")}
    run = await run_saga(OrderSaga.run, Order(parcels=20), client=saga_client, steps=steps)
    run.assert_outcome(Compensated, code="too_large")
    assert sum(line.startswith("compensate pack-parcel") for line in run.trace) == 19
    run.assert_remaining_effects()


async def test_manager_approves_within_two_days(saga_client: Client) -> None:
    """The server skips the 47 hours, and the decision comes in time."""
    decision = approves("large-order", role="manager", delay=timedelta(hours=47))
    run = await run_saga(OrderSaga.run, Order(needs_approval=True), client=saga_client, inputs=[decision])
    run.assert_outcome(Completed)
    run.assert_remaining_effects("reserve-stock", "charge-card", "ship-order")
