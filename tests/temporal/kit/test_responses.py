"""Each response of a scripted participant does what the name says, on a real server."""

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from sagas import Compensated, Completed, ProbeResult
from sagas.testing import (
    Response,
    RunOptions,
    SagaRun,
    answers,
    answers_late,
    answers_with,
    compensation_of,
    crashes_worker,
    fails,
    hangs,
    loses_reply,
    probe_of,
    rejects,
    run_saga,
)

from .shop import Order, OrderSaga, PaymentSaga, QuoteSaga, Receipt, capture, charge, reserve, ship

ALL_STEPS = ("reserve-stock", "charge-card", "ship-order")


def numbers(run: SagaRun, address: str) -> list[tuple[str, int]]:
    """The calls of a step, with their numbers."""
    return [(each.call, each.number) for each in run.calls if each.address == address]


async def test_participants_without_a_script_answer_with_samples(saga_client: Client) -> None:
    """Every effect is there once, and the result of the saga is a sample of the declared type."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client)

    assert run.assert_outcome(Completed).result == Receipt(number="number-1")
    run.assert_trace(*ALL_STEPS)
    run.assert_remaining_effects(*ALL_STEPS)
    assert [each.message for each in run.calls] == [Order().model_dump()] * 3


async def test_answer_reaches_the_saga(saga_client: Client) -> None:
    """A scripted answer is the result of the step."""
    run = await run_saga(
        OrderSaga.run, Order(), client=saga_client, steps={ship: answers(Receipt(number="p-7"))}
    )

    run.assert_outcome(Completed, result=Receipt(number="p-7"))


async def test_answer_is_computed_from_the_message(saga_client: Client) -> None:
    """The message has the type of the annotation."""

    def ship_order(order: Order) -> Receipt:
        return Receipt(number=f"parcel-of-{order.order_id}")

    run = await run_saga(
        OrderSaga.run, Order(order_id="o-9"), client=saga_client, steps={ship: answers_with(ship_order)}
    )

    run.assert_outcome(Completed, result=Receipt(number="parcel-of-o-9"))


async def test_answer_of_another_type_is_an_unknown_outcome(saga_client: Client) -> None:
    """A step with an unreadable answer may have happened, and is compensated."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps={reserve: answers("nonsense")})

    run.assert_outcome(Compensated, code="unknown_outcome")
    assert run.effects == {"reserve-stock": "compensated"}
    run.assert_remaining_effects()


async def test_rejection_has_no_effect(saga_client: Client) -> None:
    """The outcome has code, reason and field of the rejection."""
    steps = {charge: rejects("card_declined", "the card is blocked", field="card.token")}
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps=steps)

    run.assert_outcome(Compensated, code="card_declined", reason="the card is blocked", field="card.token")
    assert run.effects == {"reserve-stock": "compensated"}
    assert numbers(run, "charge-card") == [("action", 1)]


async def test_failure_for_good_has_an_unknown_outcome_and_no_effect(saga_client: Client) -> None:
    """The compensation of a request that never arrived voids the key."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps={reserve: fails()})

    run.assert_outcome(Compensated, code="unknown_outcome")
    assert run.effects == {"reserve-stock": "voided"}
    assert numbers(run, "reserve-stock") == [("action", 1), ("action", 2), ("compensation", 1)]


async def test_list_of_responses_is_a_response_for_each_attempt(saga_client: Client) -> None:
    """A failed attempt is followed by a normal answer."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps={reserve: [fails()]})

    run.assert_outcome(Completed)
    assert numbers(run, "reserve-stock") == [("action", 1), ("action", 2)]


async def test_non_retryable_failure_is_the_only_attempt(saga_client: Client) -> None:
    """Temporal makes no further attempt."""
    steps = {reserve: fails("Broken", non_retryable=True)}
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps=steps)

    run.assert_outcome(Compensated)
    assert numbers(run, "reserve-stock") == [("action", 1), ("compensation", 1)]


async def test_lost_reply_has_an_effect_once(saga_client: Client) -> None:
    """The second attempt finds the effect of the first by the key."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps={reserve: [loses_reply()]})

    run.assert_outcome(Completed)
    assert run.effects["reserve-stock"] == "applied"
    assert numbers(run, "reserve-stock") == [("action", 1), ("action", 2)]


async def test_lost_replies_for_good_are_compensated(saga_client: Client) -> None:
    """The effect that the saga does not know is compensated."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps={reserve: loses_reply()})

    run.assert_outcome(Compensated, code="unknown_outcome")
    assert run.effects == {"reserve-stock": "compensated"}


@pytest.mark.parametrize("response", [hangs(), crashes_worker()], ids=["hangs", "crashes"])
async def test_attempt_without_a_report_ends_with_the_timeout(
    saga_client: Client, response: Response
) -> None:
    """The server times out the attempt, and the next attempt executes the step."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps={reserve: [response]})

    run.assert_outcome(Completed)
    assert numbers(run, "reserve-stock") == [("action", 1), ("action", 2)]
    assert run.effects["reserve-stock"] == "applied"


async def test_hanging_for_good_is_a_timeout_of_the_server(saga_client: Client) -> None:
    """The history has the event of a timeout."""
    run = await run_saga(PaymentSaga.run, Order(), client=saga_client, steps={capture: hangs()})

    run.assert_outcome(Compensated, code="unknown_outcome")
    history = await saga_client.get_workflow_handle(run.id).fetch_history()
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT in {event.event_type for event in history.events}


async def test_crash_after_the_call_leaves_the_effect(saga_client: Client) -> None:
    """The new worker replays the saga, and the second attempt finds the effect."""
    steps = {charge: [crashes_worker(has_effect=True)]}
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps=steps)

    run.assert_outcome(Completed)
    assert numbers(run, "charge-card") == [("action", 1), ("action", 2)]


async def test_late_call_comes_after_the_compensation_and_has_no_effect(saga_client: Client) -> None:
    """P10: the compensation has voided the key of the delayed request."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps={reserve: answers_late()})

    run.assert_outcome(Compensated, code="unknown_outcome")
    assert run.effects == {"reserve-stock": "voided"}


async def test_failed_compensation_is_attempted_again(saga_client: Client) -> None:
    """Five failed attempts are more than a round; the saga starts further rounds."""
    steps = {compensation_of(reserve): [fails()] * 5, charge: rejects("card_declined")}
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps=steps)

    run.assert_outcome(Compensated, code="card_declined")
    run.assert_trace("reserve-stock", "charge-card rejected", "compensate reserve-stock")
    assert numbers(run, "reserve-stock")[-1] == ("compensation", 6)
    run.assert_remaining_effects()


async def test_probe_without_a_script_tells_the_truth(saga_client: Client) -> None:
    """A lost reply of a step with a probe is found, and the saga completes."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps={charge: loses_reply()})

    run.assert_outcome(Completed)
    assert numbers(run, "charge-card") == [("action", 1), ("action", 2), ("probe", 1)]


async def test_probe_without_an_effect_voids_the_key(saga_client: Client) -> None:
    """The step did not happen, and a late request has no effect."""
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps={charge: fails()})

    run.assert_outcome(Compensated, code="not_found")
    assert run.effects == {"reserve-stock": "compensated", "charge-card": "voided"}


async def test_probe_has_a_script(saga_client: Client) -> None:
    """A probe that does not know the outcome leaves the step unknown."""
    unknown = ProbeResult[Receipt](outcome="unknown")
    steps = {charge: loses_reply(), probe_of(charge): answers(unknown)}
    run = await run_saga(OrderSaga.run, Order(), client=saga_client, steps=steps)

    run.assert_outcome(Compensated, code="unknown_outcome")
    run.assert_remaining_effects()


@pytest.mark.parametrize(
    "key", ["payment:capture-payment", "capture-payment", capture], ids=["address", "name", "step"]
)
async def test_step_of_a_child_is_scripted_by_address_by_name_or_by_step(
    saga_client: Client, key: object
) -> None:
    """The class of the child is found among the names of the module."""
    steps = {key: rejects("card_declined")}
    run = await run_saga(OrderSaga.run, Order(is_paid_by_child=True), client=saga_client, steps=steps)

    run.assert_outcome(Compensated, code="card_declined")
    run.assert_trace("reserve-stock", "payment:capture-payment rejected", "compensate reserve-stock")


async def test_compensation_of_a_child_has_the_address_of_the_child(saga_client: Client) -> None:
    """The parent compensates the completed child."""
    steps = {ship: rejects("no_carrier")}
    run = await run_saga(OrderSaga.run, Order(is_paid_by_child=True), client=saga_client, steps=steps)

    run.assert_trace(
        "reserve-stock",
        "payment:capture-payment",
        "ship-order rejected",
        "compensate payment:capture-payment",
        "compensate reserve-stock",
    )
    assert run.effects == {"reserve-stock": "compensated", "payment:capture-payment": "compensated"}


async def test_every_workflow_task_may_be_a_replay(saga_client: Client) -> None:
    """Without a cache, the saga is replayed for each workflow task."""
    run = await run_saga(
        OrderSaga.run, Order(parcels=2), client=saga_client, options=RunOptions(max_cached_workflows=0)
    )

    run.assert_outcome(Completed)


async def test_read_only_step_has_no_effect(saga_client: Client) -> None:
    """The participant receives the call, and the book of effects has no entry."""
    run = await run_saga(QuoteSaga.run, Order(), client=saga_client)

    run.assert_trace("quote-price", "ship-order")
    run.assert_remaining_effects("ship-order")
    assert run.effects == {"ship-order": "applied"}
    assert [each.address for each in run.calls] == ["quote-price", "ship-order"]
