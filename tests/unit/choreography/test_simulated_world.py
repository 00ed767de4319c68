"""Sagas reach the expected ending despite repeated and reordered deliveries and crashes (P2, P12, P13)."""

import asyncio
import sqlite3
from contextlib import suppress

import pytest

from choreography import OperationRequest
from choreography._transaction.operation_executor import OperationDone, OperationExecutor, OperationOutcome
from examples.demo.scenario import Scenario
from examples.order.event_types import place_order, request_cancellation
from examples.order.messages import CancellationRequest
from examples.order.scenarios import CANCELLED_NOTICES, ORDER_EFFECTS, ORDER_NOTICES, ORDERS, an_order
from examples.payment.scenarios import PAYMENTS
from examples.payment.services.ledger import LedgerError
from examples.stack.end_state import NO_EFFECTS, EndState

from .fixtures.simulated_world import FaultRates, SimulatedWorld

WITHOUT_CANCELLATION = [each for each in (*ORDERS, *PAYMENTS) if each.status != "cancelled"]
SEEDS = range(25)
CANCELLED_SEEDS = range(200)
NO_FAULTS = FaultRates(crash=0, duplicate=0)


def check(world: SimulatedWorld, effects: object, *notifications: tuple[str, ...]) -> EndState:
    ending = asyncio.run(world.ending("1"))
    log = f"seed {world.seed}: {world.log}"
    assert world.dead_letters == [], log
    assert ending.effects == effects, log
    assert ending.notices in notifications, log
    assert (ending.unbalanced, ending.ledger) == ((), 0), log
    assert (ending.captured - ending.refunded > 0) == ("payment" in ending.effects), log
    assert ending.reserved == ending.shipped, log
    # Repeated deliveries of an event store its following event once.
    assert sum(world.count_stored_events().values()) == len(world.published), log
    return ending


def run_cancelled(world: SimulatedWorld) -> None:
    world.send("order", place_order, an_order()("1"))
    world.run(steps=world.random.randrange(60))
    world.send("order", request_cancellation, CancellationRequest(order_id="1"))
    world.run()


def check_cancelled(world: SimulatedWorld) -> EndState:
    if world.databases["shipping"].execute("select 1 from shipment").fetchone():
        return check(world, ORDER_EFFECTS, ORDER_NOTICES)
    return check(world, NO_EFFECTS, CANCELLED_NOTICES, (*CANCELLED_NOTICES, "Your receipt"))


@pytest.mark.parametrize("scenario", WITHOUT_CANCELLATION, ids=lambda scenario: scenario.name)
def test_every_scenario_has_the_ending_of_the_orchestrated_saga(scenario: Scenario) -> None:
    """The remaining effects and the customer's notifications depend neither on the style nor on faults."""
    for seed in SEEDS:
        with SimulatedWorld(seed) as world:
            world.start(scenario)
            world.run()
            check(world, scenario.effects, tuple(sorted(scenario.notices)))


def test_a_cancellation_compensates_everything_or_changes_nothing() -> None:
    """At every moment of the cancellation, every action is compensated, or the parcel has left."""
    ends = set[bool]()
    late = 0
    for seed in CANCELLED_SEEDS:
        with SimulatedWorld(seed) as world:
            run_cancelled(world)
            ends.add(bool(check_cancelled(world).effects))
            late += "voided" in {state for key, state in world.steps().items() if "payment" in key}
    assert ends == {True, False}
    assert late > 10, "no compensation arrived before its action"


STEPS = {
    "all-well": {
        "order-1:create-order": "done",
        "order-1:reserve-stock": "done",
        "order-1:screen-order": "done",
        "order-1/payment:authorize-payment": "done",
        "order-1/payment:capture-payment": "done",
        "order-1/payment:send-receipt": "done",
        "order-1:create-shipment": "done",
        "order-1:approve-order": "done",
        "order-1:tell-customer": "done",
    },
    "out-of-stock": {
        "order-1:create-order": "compensated",
        "order-1:reserve-stock": "rejected",
        "order-1:tell-customer": "done",
    },
    "capture-refused": {
        "order-1:create-order": "compensated",
        "order-1:reserve-stock": "compensated",
        "order-1:screen-order": "done",
        "order-1/payment:authorize-payment": "compensated",
        "order-1/payment:capture-payment": "rejected",
        "order-1:tell-customer": "done",
    },
    "replies-lost": {
        "order-1:create-order": "compensated",
        "order-1:reserve-stock": "compensated",
        "order-1:screen-order": "done",
        "order-1/payment:authorize-payment": "compensated",
        "order-1/payment:capture-payment": "compensated",
        "order-1:tell-customer": "done",
    },
}
"""The fence rows of the orchestrated saga."""


@pytest.mark.parametrize("name", STEPS)
def test_both_styles_leave_the_same_fence_rows(name: str) -> None:
    """Keys and states are the same, and there are no other rows."""
    scenario = next(each for each in ORDERS if each.name == name)
    with SimulatedWorld(1) as world:
        world.start(scenario)
        world.run()
        assert world.steps() == STEPS[name]


class UnfencedExecutor(OperationExecutor):
    """Runs the business code of every request, without a fence."""

    def execute(self, tx: sqlite3.Connection, request: OperationRequest) -> OperationOutcome:
        for handler in self.participant.handlers:
            if handler.operation.name == request.operation:
                result = handler.code(tx, request.message, request.key)
                return OperationDone(result=result, is_repeated=False)
            compensation = handler.compensation
            if compensation and compensation.operation.name == request.operation:
                # Without an effect, the ledger refuses; without a fence, the action may still arrive.
                with suppress(LedgerError):
                    compensation.code(tx, request.message, request.key)
                found = compensation.operation.result.model_validate({"found": "effect"})
                return OperationDone(result=found, is_repeated=False)
        raise KeyError(request.operation)


def test_a_missing_fence_is_detected() -> None:
    """These tests fail if a late action takes effect after its compensation."""
    detected = 0
    for seed in CANCELLED_SEEDS:
        with SimulatedWorld(seed, rates=NO_FAULTS, make_executor=UnfencedExecutor) as world:
            # Some faults break a constraint of the schema first: one final notification per order.
            with suppress(AssertionError, sqlite3.IntegrityError):
                run_cancelled(world)
                check_cancelled(world)
                continue
            detected += 1
    assert detected > 10


def test_a_missing_inbox_is_detected() -> None:
    """These tests fail if a repeated delivery takes effect again."""
    detected = 0
    for seed in SEEDS:
        with SimulatedWorld(seed, rates=FaultRates(crash=0, duplicate=0.5), has_inbox=False) as world:
            world.start(ORDERS[0])
            with suppress(AssertionError):
                world.run()
                check(world, ORDER_EFFECTS, ORDER_NOTICES)
                continue
            detected += 1
    assert detected > 15
