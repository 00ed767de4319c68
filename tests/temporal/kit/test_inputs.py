"""Cancels, events and approvals reach the saga at their moment."""

from datetime import timedelta

import pytest
from temporalio.client import Client

from sagas import Compensated, Completed
from sagas.testing import (
    Moment,
    after,
    approves,
    before,
    cancels,
    compensation_of,
    disapproves,
    rejects,
    run_saga,
    sends,
    waiting_for,
)

from .shop import Clearance, Order, OrderSaga, charge, reserve, ship

DAY = timedelta(days=1)


@pytest.mark.parametrize("moment", [before(charge), after(charge)], ids=str)
async def test_cancel_during_a_step_compensates_the_step(saga_client: Client, moment: Moment) -> None:
    """The step goes on, the cancel is accepted meanwhile, and the saga compensates."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, inputs=[cancels(moment)])

    run.assert_outcome(Compensated, code="cancelled", is_cancelled=True)
    run.assert_trace("reserve-stock", "charge-card", "compensate charge-card", "compensate reserve-stock")
    run.assert_remaining_effects()


async def test_cancel_during_the_pivot_changes_nothing(saga_client: Client) -> None:
    """P6: the pivot is done, and the saga completes."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, inputs=[cancels(after(ship))])

    run.assert_outcome(Completed)
    assert run.timeline.cancel_requests


async def test_cancel_during_a_compensation_stops_no_compensation(saga_client: Client) -> None:
    """P6: the saga is compensated; the code stays the code of the first failure."""
    run = await run_saga(
        OrderSaga.run,
        Order(),
        client=saga_client,
        steps={charge: rejects("card_declined")},
        inputs=[cancels(before(compensation_of(reserve)))],
    )

    run.assert_outcome(Compensated, code="card_declined")
    run.assert_remaining_effects()


async def test_cancel_while_the_saga_waits(saga_client: Client) -> None:
    """The saga has waited for a day."""
    cancel = cancels(waiting_for("large-order", delay=DAY))
    run = await run_saga(OrderSaga.run, Order(needs_approval=True), client=saga_client, inputs=[cancel])

    run.assert_outcome(Compensated, code="cancelled")
    run.assert_trace("reserve-stock", "compensate reserve-stock")


async def test_event_and_approval_are_sent_one_after_another(saga_client: Client) -> None:
    """Both waits together take longer than either deadline."""
    run = await run_saga(
        OrderSaga.run,
        Order(needs_clearance=True, needs_approval=True),
        client=saga_client,
        inputs=[
            sends(
                "customs-cleared",
                Clearance(office="Kiel"),
                moment=waiting_for("customs-cleared", delay=29 * DAY),
            ),
            approves("large-order", role="manager", delay=DAY),
        ],
    )

    run.assert_outcome(Completed)
    assert run.timeline.started_at is not None
    assert run.timeline.ended_at is not None
    assert timedelta(days=30) <= run.timeline.ended_at - run.timeline.started_at < timedelta(days=31)


async def test_event_is_sent_during_a_step(saga_client: Client) -> None:
    """The event is kept until the saga waits."""
    event = sends("customs-cleared", Clearance(office="Kiel"), moment=before(reserve))
    run = await run_saga(OrderSaga.run, Order(needs_clearance=True), client=saga_client, inputs=[event])

    run.assert_outcome(Completed)


async def test_event_that_never_comes_ends_the_wait_after_thirty_days(saga_client: Client) -> None:
    """The server skips the wait of 30 days."""
    run = await run_saga(OrderSaga.run, Order(needs_clearance=True), client=saga_client)

    run.assert_outcome(Compensated, code="deadline_exceeded")
    assert run.timeline.started_at is not None
    assert run.timeline.ended_at is not None
    assert run.timeline.ended_at - run.timeline.started_at >= timedelta(days=30)


async def test_decision_against_the_saga_compensates(saga_client: Client) -> None:
    """A decision names the person."""
    decision = disapproves("large-order", role="manager", by="mia")
    run = await run_saga(OrderSaga.run, Order(needs_approval=True), client=saga_client, inputs=[decision])

    outcome = run.assert_outcome(Compensated, code="not_approved")
    assert "mia decided against" in outcome.reason
