"""Whatever a broker repeats and reorders, whoever dies when: every saga ends as it must (P2, P12, P13)."""

import asyncio
import sqlite3
from contextlib import suppress

import pytest
from pydantic import BaseModel

from choreography import Answer, Participant, Reactions, Refused
from examples.demo.scenario import Scenario
from examples.order.deployment import REACTIONS
from examples.order.event_types import place_order, request_cancellation
from examples.order.messages import CancellationRequest
from examples.order.scenarios import CANCELLED_NOTICES, ORDER_EFFECTS, ORDER_NOTICES, ORDERS, an_order
from examples.payment.scenarios import PAYMENTS
from examples.payment.services.ledger import LedgerError
from examples.stack.end_state import NO_EFFECTS, EndState

from .world import Weather, World

UNDISTURBED = [each for each in (*ORDERS, *PAYMENTS) if each.status != "cancelled"]
SEEDS = range(25)
CANCELLED_SEEDS = range(200)
CALM = Weather(crash=0, twice=0)


def check(world: World, effects: object, *tellings: tuple[str, ...]) -> EndState:
    ending = asyncio.run(world.ending("1"))
    story = f"seed {world.seed}: {world.story}"
    assert world.dead == [], story
    assert ending.effects == effects, story
    assert ending.notices in tellings, story
    assert (ending.unbalanced, ending.ledger) == ((), 0), story
    assert (ending.captured - ending.refunded > 0) == ("payment" in ending.effects), story
    assert ending.reserved == ending.shipped, story
    # However often an event was delivered, what follows from it was told as one event.
    assert sum(world.emissions().values()) == len(world.told), story
    return ending


def run_cancelled(world: World) -> None:
    world.ask("order", place_order, an_order()("1"))
    world.run(steps=world.random.randrange(60))
    world.ask("order", request_cancellation, CancellationRequest(order_id="1"))
    world.run()


def check_cancelled(world: World) -> EndState:
    if world.databases["shipping"].execute("select 1 from shipment").fetchone():
        return check(world, ORDER_EFFECTS, ORDER_NOTICES)
    return check(world, NO_EFFECTS, CANCELLED_NOTICES, (*CANCELLED_NOTICES, "Your receipt"))


@pytest.mark.parametrize("scenario", UNDISTURBED, ids=lambda scenario: scenario.name)
def test_every_scenario_ends_as_the_orchestrated_one(scenario: Scenario) -> None:
    """The effects that are left, and what the customer is told, do not depend on the style or the weather."""
    for seed in SEEDS:
        with World(seed) as world:
            world.begin(scenario)
            world.run()
            check(world, scenario.effects, tuple(sorted(scenario.notices)))


def test_a_cancellation_comes_in_time_or_not_at_all() -> None:
    """At whatever moment the customer cancels, everything is made up for, or the parcel is on its way."""
    ends = set[bool]()
    late = 0
    for seed in CANCELLED_SEEDS:
        with World(seed) as world:
            run_cancelled(world)
            ends.add(bool(check_cancelled(world).effects))
            late += "fenced" in {state for key, state in world.steps().items() if "payment" in key}
    assert ends == {True, False}
    assert late > 10, "no compensation has ever overtaken its action"


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
        "order-1:reserve-stock": "failed",
        "order-1:tell-customer": "done",
    },
    "capture-refused": {
        "order-1:create-order": "compensated",
        "order-1:reserve-stock": "compensated",
        "order-1:screen-order": "done",
        "order-1/payment:authorize-payment": "compensated",
        "order-1/payment:capture-payment": "failed",
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
"""What the orchestrated saga leaves behind the fence."""


@pytest.mark.parametrize("name", STEPS)
def test_both_styles_leave_the_same_rows_behind_the_fence(name: str) -> None:
    """The keys are the same to the letter, and what became of them; nothing else was touched."""
    scenario = next(each for each in ORDERS if each.name == name)
    with World(1) as world:
        world.begin(scenario)
        world.run()
        assert world.steps() == STEPS[name]


class Unfenced(Participant):
    """Runs whatever business code it is asked for, whenever."""

    __slots__ = ()

    def carry_out(
        self, tx: sqlite3.Connection, operation: str, message: BaseModel, key: str
    ) -> Answer | Refused:
        for handled in self.handles:
            if handled.operation.name == operation:
                return Answer(result=handled.code(tx, message, key), is_repeated=False)
            if handled.compensation and handled.compensation.operation.name == operation:
                # There may be nothing to reverse; without a fence, nobody notes that it must not come later.
                with suppress(LedgerError):
                    handled.compensation.code(tx, message, key)
                result = handled.compensation.operation.result
                return Answer(result=result.model_validate({"found": "effect"}), is_repeated=False)
        raise KeyError(operation)


def unfenced(each: Reactions) -> Reactions:
    real = each.participant
    return Reactions(Unfenced(name=real.name, tables=real.tables, handles=real.handles), *each.reactions)


def test_without_the_fence_a_late_action_is_noticed() -> None:
    """These tests would fail if a compensation did not keep its action from coming late."""
    reactions = {name: unfenced(each) for name, each in REACTIONS.items()}
    noticed = 0
    for seed in CANCELLED_SEEDS:
        with World(seed, weather=CALM, reactions=reactions) as world:
            # The schema notices some of it first: nobody is told twice how one order ended.
            with suppress(AssertionError, sqlite3.IntegrityError):
                run_cancelled(world)
                check_cancelled(world)
                continue
            noticed += 1
    assert noticed > 10


def test_without_the_inbox_a_second_delivery_is_noticed() -> None:
    """These tests would fail if an event that comes twice were handled twice."""
    noticed = 0
    for seed in SEEDS:
        with World(seed, weather=Weather(crash=0, twice=0.5), has_inbox=False) as world:
            world.begin(ORDERS[0])
            with suppress(AssertionError):
                world.run()
                check(world, ORDER_EFFECTS, ORDER_NOTICES)
                continue
            noticed += 1
    assert noticed > 15
