"""An event is processed in a transaction, once: all reactions or none (P12, P13, P14)."""

import sqlite3
from collections.abc import Iterator

import pytest

from choreography import KEY_REUSE, DeadLetterError, Event, EventType, OperationRequest, Reactions, on
from choreography._transaction.database import run_in_transaction
from choreography._transaction.event_processor import EventProcessor, ProcessedEvent
from choreography._transaction.failpoint import Failpoint, FailpointHook, ignore_failpoint
from choreography._transaction.reaction_executor import IsOutcomeKnown, always_known
from examples.order import event_types as facts
from examples.order import operations as ops
from examples.order.messages import Order, Reservation, ReserveStock
from examples.order.services import inventory, shipping
from examples.order.services import payment_reactions as payments
from examples.payment.messages import Notice
from examples.payment.services.payment import PAYMENT

from .fixtures.databases import count_rows, database_of, outbox_types
from .fixtures.sample_events import order, order_event, sample_event


class Crash(BaseException):
    """The process ends."""


@pytest.fixture
def inventory_db() -> Iterator[sqlite3.Connection]:
    with database_of(inventory.INVENTORY) as db:
        yield db


@pytest.fixture
def payment_db() -> Iterator[sqlite3.Connection]:
    with database_of(PAYMENT) as db:
        yield db


def process(
    db: sqlite3.Connection,
    reactions: Reactions,
    event: Event,
    *,
    is_outcome_known: IsOutcomeKnown = always_known,
    on_failpoint: FailpointHook = ignore_failpoint,
) -> ProcessedEvent:
    processor = EventProcessor(reactions, is_outcome_known=is_outcome_known, on_failpoint=on_failpoint)
    parsed = processor.parse(event)
    return run_in_transaction(db, lambda tx: processor.process(tx, parsed))


def test_five_deliveries_of_one_event_are_processed_once(inventory_db: sqlite3.Connection) -> None:
    """The stock is reserved once, and one event is published (P13)."""
    placed = order_event(facts.order_placed, order())
    processed = [process(inventory_db, inventory.REACTIONS, placed) for _ in range(5)]
    assert [each.is_repeated for each in processed] == [False, True, True, True, True]
    assert inventory.state(inventory_db, "1")["reserved"] == {"TEA-GREEN": 2, "MUG-WHITE": 1}
    assert outbox_types(inventory_db) == ["stock-reserved"]


def test_a_following_event_has_its_cause_its_saga_and_a_derived_id(inventory_db: sqlite3.Connection) -> None:
    """Each event can be traced to the first event of the saga, and a repeated creation gives the same id."""
    context = {"traceparent": "00-1-2-01"}
    placed = order_event(facts.order_placed, order()).model_copy(update=context)
    (following,) = process(inventory_db, inventory.REACTIONS, placed).following
    assert following.id == order_event(facts.stock_reserved, order(), cause=placed).id
    assert (following.saga_id, following.causation_id, following.source) == (
        "order-1",
        placed.id,
        "inventory",
    )
    assert (following.data, following.traceparent) == (placed.data, "00-1-2-01")


@pytest.mark.parametrize("failpoint", [Failpoint.AFTER_INBOX, Failpoint.BEFORE_COMMIT])
def test_a_crash_before_the_commit_changes_nothing(
    inventory_db: sqlite3.Connection, failpoint: Failpoint
) -> None:
    """Effect, event, inbox row and fence row are missing; the next delivery creates all four (P12)."""

    def crash(passed: Failpoint) -> None:
        if passed is failpoint:
            raise Crash

    placed = order_event(facts.order_placed, order())
    with pytest.raises(Crash):
        process(inventory_db, inventory.REACTIONS, placed, on_failpoint=crash)
    tables = ("saga_inbox", "saga_step", "saga_outbox", "reservation")
    assert count_rows(inventory_db, *tables) == [0, 0, 0, 0]
    assert not process(inventory_db, inventory.REACTIONS, placed).is_repeated
    assert count_rows(inventory_db, *tables) == [1, 1, 1, 1]


def test_a_rejected_action_publishes_the_event_of_the_rejection(inventory_db: sqlite3.Connection) -> None:
    """The other participants learn of the rejection, and no effect is left."""
    process(inventory_db, inventory.REACTIONS, order_event(facts.order_placed, order(sku="SOLD-OUT")))
    assert outbox_types(inventory_db) == ["stock-refused"]
    assert inventory.state(inventory_db, "1") == {"effects": [], "reserved": {}}


def test_a_compensation_before_its_action_voids_the_action(inventory_db: sqlite3.Connection) -> None:
    """The late action has no effect and publishes no event (P10)."""
    process(inventory_db, inventory.REACTIONS, order_event(facts.shipment_voided, order()))
    late = process(inventory_db, inventory.REACTIONS, order_event(facts.order_placed, order()))
    assert (late.is_repeated, late.following) == (False, ())
    assert inventory.state(inventory_db, "1")["effects"] == []
    assert outbox_types(inventory_db) == []


def test_two_failures_of_one_saga_compensate_once(inventory_db: sqlite3.Connection) -> None:
    """The second compensation finds the compensated action."""
    process(inventory_db, inventory.REACTIONS, order_event(facts.order_placed, order()))
    process(inventory_db, inventory.REACTIONS, order_event(facts.shipment_refused, order()))
    process(inventory_db, inventory.REACTIONS, order_event(facts.shipment_voided, order()))
    assert inventory.state(inventory_db, "1")["effects"] == []
    assert inventory.balance(inventory_db)["is_conserved"]
    assert inventory_db.execute("select key, state from saga_step").fetchall() == [
        ("order-1:reserve-stock", "compensated")
    ]


def test_compensations_of_one_event_run_in_the_order_of_their_declaration(
    payment_db: sqlite3.Connection,
) -> None:
    """The later action is compensated first: the capture, then the authorization."""
    screened = order_event(facts.order_screened, order())
    (authorized,) = process(payment_db, payments.REACTIONS, screened).following
    process(payment_db, payments.REACTIONS, authorized)
    process(payment_db, payments.REACTIONS, order_event(facts.shipment_refused, order()))
    kinds = [kind for (kind,) in payment_db.execute("select kind from posting order by posting_id")]
    assert kinds == ["hold", "capture", "refund", "release"]


def test_an_unknown_outcome_publishes_its_own_event(payment_db: sqlite3.Connection) -> None:
    """The effect is committed, and every participant compensates, including the participant of the action."""

    def is_outcome_known(request: OperationRequest) -> bool:
        return request.operation != "capture-payment"

    screened = order_event(facts.order_screened, order())
    (authorized,) = process(payment_db, payments.REACTIONS, screened).following
    (unknown,) = process(
        payment_db, payments.REACTIONS, authorized, is_outcome_known=is_outcome_known
    ).following
    assert unknown.type == "payment-unknown"
    process(payment_db, payments.REACTIONS, unknown)
    assert dict(payment_db.execute("select key, state from saga_step")) == {
        "order-1/payment:authorize-payment": "compensated",
        "order-1/payment:capture-payment": "compensated",
    }


def test_only_a_shipment_that_has_not_arrived_can_be_voided() -> None:
    """A cancellation in time publishes an event; a late cancellation has no effect (P6)."""
    captured = order_event(facts.payment_captured, order())
    requested = order_event(facts.cancellation_requested, order())
    with database_of(shipping.SHIPPING) as db:
        process(db, shipping.REACTIONS, requested)
        process(db, shipping.REACTIONS, captured)
        assert outbox_types(db) == ["shipment-voided"]
    with database_of(shipping.SHIPPING) as db:
        process(db, shipping.REACTIONS, captured)
        process(db, shipping.REACTIONS, requested)
        assert outbox_types(db) == ["shipment-created"]
        assert shipping.state(db, "1")["effects"] == ["create-shipment"]


def test_a_rejection_without_an_event_is_a_dead_letter(inventory_db: sqlite3.Connection) -> None:
    """A saga does not stop silently: the dead letter has the reason (P14)."""
    silent = Reactions(inventory.INVENTORY, on(facts.order_placed).do(ops.reserve_stock, ReserveStock.of))
    with pytest.raises(DeadLetterError, match="out_of_stock"):
        process(inventory_db, silent, order_event(facts.order_placed, order(sku="SOLD-OUT")))
    assert count_rows(inventory_db, "saga_inbox", "saga_step") == [0, 0]


def test_a_reused_idempotency_key_is_a_dead_letter(inventory_db: sqlite3.Connection) -> None:
    """Two events of one saga with different content cannot both be correct."""
    process(inventory_db, inventory.REACTIONS, order_event(facts.order_placed, order()))
    reserved = order_event(facts.stock_reserved, order())
    other = order_event(facts.order_placed, order(sku="TEA-BLACK"), cause=reserved)
    with pytest.raises(DeadLetterError, match=KEY_REUSE):
        process(inventory_db, inventory.REACTIONS, other)


def test_an_event_with_invalid_data_is_a_dead_letter(inventory_db: sqlite3.Connection) -> None:
    """The reason names the field and shows no content (P14, P17)."""
    notice = Notice(order_id="1", customer=order().customer, subject="hunter2")
    event_type = EventType("order-placed", Notice, source="order")
    with pytest.raises(DeadLetterError, match="cannot read 'order-placed': lines") as caught:
        process(inventory_db, inventory.REACTIONS, sample_event(event_type, notice, saga_id="order-1"))
    assert "hunter2" not in str(caught.value)


def test_an_event_without_a_reaction_is_a_dead_letter(inventory_db: sqlite3.Connection) -> None:
    """A queue with too many bindings is noticed."""
    with pytest.raises(DeadLetterError, match="does not react to 'order-approved'"):
        process(inventory_db, inventory.REACTIONS, order_event(facts.order_approved, order()))


def test_an_event_may_carry_the_result_of_an_action(inventory_db: sqlite3.Connection) -> None:
    """Later operations may need the result of an earlier action."""

    def number_of(_: Order, result: Reservation) -> Reservation:
        return result

    numbered = EventType("reservation-made", Reservation, source="inventory")
    reactions = Reactions(
        inventory.INVENTORY,
        on(facts.order_placed).do(ops.reserve_stock, ReserveStock.of).on_done(numbered, number_of),
    )
    (following,) = process(inventory_db, reactions, order_event(facts.order_placed, order())).following
    assert str(following.data["reservation_id"]).startswith("res_")
