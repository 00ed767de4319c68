"""One event in one transaction: what it leads to happens once, and all of it or nothing (P12, P13, P14)."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from choreography import (
    KEY_REUSE,
    Assignment,
    DeadLetterError,
    Event,
    Fact,
    Failpoint,
    Reactions,
    Refused,
    connect,
    on,
    unit_of_work,
)
from choreography._handling import Handled, IsAnswered, always_answered, handle, obey
from examples.order import event_types as facts
from examples.order import operations as ops
from examples.order.messages import CancellationRequest, Order, Reservation, ReserveStock
from examples.order.services import inventory, orders, shipping
from examples.order.services import payment_reactions as payments
from examples.payment.messages import Notice
from examples.payment.services.payment import PAYMENT
from sagas import RejectedError

from .facts import event, order, told


class Crash(BaseException):
    """The process died."""


@pytest.fixture
def stock() -> Iterator[sqlite3.Connection]:
    with closing(connect(":memory:", schema=inventory.INVENTORY.schema)) as db:
        yield db


@pytest.fixture
def money() -> Iterator[sqlite3.Connection]:
    with closing(connect(":memory:", schema=PAYMENT.schema)) as db:
        yield db


@pytest.fixture
def desk() -> Iterator[sqlite3.Connection]:
    with closing(connect(":memory:", schema=orders.ORDER.schema)) as db:
        yield db


def deliver(
    db: sqlite3.Connection,
    reactions: Reactions,
    delivered: Event,
    *,
    is_answered: IsAnswered = always_answered,
) -> Handled:
    return unit_of_work(db, lambda tx: handle(tx, reactions, delivered, is_answered=is_answered))


def count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"select count(*) from {table}").fetchone()[0])


def outbox_types(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("select type from saga_outbox order by seq")]


def test_five_deliveries_of_one_event_are_handled_once(stock: sqlite3.Connection) -> None:
    """The stock is reserved once, and told of once (P13)."""
    placed = told(facts.order_placed, order())
    handled = [deliver(stock, inventory.REACTIONS, placed) for _ in range(5)]
    assert [each.is_repeated for each in handled] == [False, True, True, True, True]
    assert inventory.state(stock, "1")["reserved"] == {"TEA-GREEN": 2, "MUG-WHITE": 1}
    assert outbox_types(stock) == ["stock-reserved"]


def test_what_follows_names_its_cause_and_belongs_to_the_same_saga(stock: sqlite3.Connection) -> None:
    """Each event can be traced to the first, and has the same id however often it is made."""
    placed = told(facts.order_placed, order()).model_copy(update={"traceparent": "00-1-2-01"})
    (follows,) = deliver(stock, inventory.REACTIONS, placed).told
    assert follows.id == told(facts.stock_reserved, order(), cause=placed).id
    assert (follows.saga_id, follows.causation_id, follows.source) == ("order-1", placed.id, "inventory")
    assert (follows.data, follows.traceparent) == (placed.data, "00-1-2-01")


@pytest.mark.parametrize("failpoint", [Failpoint.AFTER_INBOX, Failpoint.BEFORE_COMMIT])
def test_a_crash_before_the_commit_leaves_nothing(stock: sqlite3.Connection, failpoint: Failpoint) -> None:
    """No effect, no event, no row in inbox or fence; the next delivery does it all (P12)."""

    def fail(passed: Failpoint) -> None:
        if passed is failpoint:
            raise Crash

    placed = told(facts.order_placed, order())
    with pytest.raises(Crash):
        unit_of_work(stock, lambda tx: handle(tx, inventory.REACTIONS, placed, failpoint=fail))
    tables = ("saga_inbox", "saga_step", "saga_outbox", "reservation")
    assert [count(stock, table) for table in tables] == [0, 0, 0, 0]
    assert not deliver(stock, inventory.REACTIONS, placed).is_repeated
    assert [count(stock, table) for table in tables] == [1, 1, 1, 1]


def test_a_refusal_is_a_fact(stock: sqlite3.Connection) -> None:
    """The others learn that there is nothing to wait for, and nothing is left of it here."""
    deliver(stock, inventory.REACTIONS, told(facts.order_placed, order(sku="SOLD-OUT")))
    assert outbox_types(stock) == ["stock-refused"]
    assert inventory.state(stock, "1") == {"effects": [], "reserved": {}}


def test_a_compensation_that_overtakes_its_action_makes_it_void(stock: sqlite3.Connection) -> None:
    """The late action has no effect, and tells nobody anything (P10)."""
    deliver(stock, inventory.REACTIONS, told(facts.shipment_voided, order()))
    late = deliver(stock, inventory.REACTIONS, told(facts.order_placed, order()))
    assert (late.is_repeated, late.told) == (False, ())
    assert inventory.state(stock, "1")["effects"] == []
    assert outbox_types(stock) == []


def test_a_compensation_after_its_action_takes_it_back(stock: sqlite3.Connection) -> None:
    """Two failures of one saga compensate once."""
    deliver(stock, inventory.REACTIONS, told(facts.order_placed, order()))
    deliver(stock, inventory.REACTIONS, told(facts.shipment_refused, order()))
    deliver(stock, inventory.REACTIONS, told(facts.shipment_voided, order()))
    assert inventory.state(stock, "1")["effects"] == []
    assert inventory.balance(stock)["is_conserved"]
    assert stock.execute("select key, state from saga_step").fetchall() == [
        ("order-1:reserve-stock", "compensated")
    ]


def test_compensations_of_one_event_run_in_the_order_of_their_declaration(money: sqlite3.Connection) -> None:
    """What was done last is compensated first: the capture, then the authorization."""
    screened = told(facts.order_screened, order())
    (authorized,) = deliver(money, payments.REACTIONS, screened).told
    deliver(money, payments.REACTIONS, authorized)
    deliver(money, payments.REACTIONS, told(facts.shipment_refused, order()))
    kinds = [kind for (kind,) in money.execute("select kind from posting order by posting_id")]
    assert kinds == ["hold", "capture", "refund", "release"]


def test_an_outcome_that_is_unknown_is_told_as_such(money: sqlite3.Connection) -> None:
    """The effect is committed, and everybody compensates, who did it included."""

    def is_answered(assignment: Assignment) -> bool:
        return assignment.operation != "capture-payment"

    (authorized,) = deliver(money, payments.REACTIONS, told(facts.order_screened, order())).told
    (unknown,) = deliver(money, payments.REACTIONS, authorized, is_answered=is_answered).told
    assert unknown.type == "payment-unknown"
    deliver(money, payments.REACTIONS, unknown)
    assert dict(money.execute("select key, state from saga_step")) == {
        "order-1/payment:authorize-payment": "compensated",
        "order-1/payment:capture-payment": "compensated",
    }


def test_only_a_shipment_that_has_not_begun_can_be_withdrawn() -> None:
    """A cancellation in time is told, one that is too late changes nothing (P6)."""
    captured, requested = (
        told(facts.payment_captured, order()),
        told(facts.cancellation_requested, order()),
    )
    with closing(connect(":memory:", schema=shipping.SHIPPING.schema)) as db:
        deliver(db, shipping.REACTIONS, requested)
        deliver(db, shipping.REACTIONS, captured)
        assert outbox_types(db) == ["shipment-voided"]
    with closing(connect(":memory:", schema=shipping.SHIPPING.schema)) as db:
        deliver(db, shipping.REACTIONS, captured)
        deliver(db, shipping.REACTIONS, requested)
        assert outbox_types(db) == ["shipment-created"]
        assert shipping.state(db, "1")["effects"] == ["create-shipment"]


def test_a_refusal_that_nobody_is_told_of_is_a_dead_letter(stock: sqlite3.Connection) -> None:
    """A saga does not stop without anybody knowing: it is put aside with its reason (P14)."""
    mute = Reactions(inventory.INVENTORY, on(facts.order_placed).do(ops.reserve_stock, ReserveStock.of))
    with pytest.raises(DeadLetterError, match="out_of_stock"):
        deliver(stock, mute, told(facts.order_placed, order(sku="SOLD-OUT")))
    assert (count(stock, "saga_inbox"), count(stock, "saga_step")) == (0, 0)


def test_a_key_that_was_used_for_something_else_is_a_dead_letter(stock: sqlite3.Connection) -> None:
    """Two events of one saga that say different things cannot both be right."""
    deliver(stock, inventory.REACTIONS, told(facts.order_placed, order()))
    other = told(facts.order_placed, order(sku="TEA-BLACK"), cause=told(facts.stock_reserved, order()))
    with pytest.raises(DeadLetterError, match=KEY_REUSE):
        deliver(stock, inventory.REACTIONS, other)


def test_an_event_that_cannot_be_read_is_a_dead_letter(stock: sqlite3.Connection) -> None:
    """The reason names the field, and shows nothing of its content (P14, P17)."""
    notice = Notice(order_id="1", customer=order().customer, subject="hunter2")
    strange = event("order-placed", "order", notice, saga_id="order-1")
    with pytest.raises(DeadLetterError, match="cannot read 'order-placed': lines") as caught:
        deliver(stock, inventory.REACTIONS, strange)
    assert "hunter2" not in str(caught.value)


def test_an_event_that_was_not_meant_for_it_is_a_dead_letter(stock: sqlite3.Connection) -> None:
    """A queue that is bound to too much is noticed."""
    with pytest.raises(DeadLetterError, match="does not react to 'order-approved'"):
        deliver(stock, inventory.REACTIONS, told(facts.order_approved, order()))


def test_a_fact_may_carry_the_result_of_an_action(stock: sqlite3.Connection) -> None:
    """What comes later may need what only the action knows."""

    def number_of(_: Order, result: Reservation) -> Reservation:
        return result

    numbered = Fact("reservation-made", Reservation, by="inventory")
    reactions = Reactions(
        inventory.INVENTORY,
        on(facts.order_placed).do(ops.reserve_stock, ReserveStock.of).then(numbered, number_of),
    )
    (follows,) = deliver(stock, reactions, told(facts.order_placed, order())).told
    assert str(follows.data["reservation_id"]).startswith("res_")


def place(db: sqlite3.Connection, what: Order) -> str | Refused:
    return unit_of_work(db, lambda tx: obey(tx, orders.REACTIONS, facts.place_order, what))


def test_a_command_that_is_sent_twice_begins_one_saga(desk: sqlite3.Connection) -> None:
    """The answer is the same, and the event is told once, although it may have been published already."""
    assert place(desk, order()) == "order-1"
    desk.execute("delete from saga_outbox")
    assert place(desk, order()) == "order-1"
    assert outbox_types(desk) == []


def test_a_command_that_is_sent_again_after_its_saga_was_compensated_gets_the_same_answer(
    desk: sqlite3.Connection,
) -> None:
    """It was accepted; how the saga ended is another question."""
    place(desk, order())
    deliver(desk, orders.REACTIONS, told(facts.stock_refused, order()))
    assert place(desk, order()) == "order-1"
    assert outbox_types(desk) == ["order-placed", "order-cancelled"]


def test_a_command_whose_action_was_made_void_before_it_came_is_refused(desk: sqlite3.Connection) -> None:
    """It begins nothing, also when it is sent again."""
    deliver(desk, orders.REACTIONS, told(facts.stock_refused, order()))
    for _ in range(2):
        with pytest.raises(RejectedError, match="voided"):
            place(desk, order())
    assert "order-placed" not in outbox_types(desk)


def test_a_command_with_other_content_is_refused(desk: sqlite3.Connection) -> None:
    """One id is one order."""
    place(desk, order())
    refused = place(desk, order(card="tok_declined"))
    assert isinstance(refused, Refused)
    assert refused.code == KEY_REUSE
    assert outbox_types(desk) == ["order-placed"]


def test_a_command_that_is_refused_leaves_nothing(desk: sqlite3.Connection) -> None:
    """An order that nobody could fulfil begins no saga (P19)."""
    empty = order().model_copy(update={"lines": ()})
    with pytest.raises(RejectedError, match="empty_order"):
        place(desk, empty)
    with pytest.raises(RejectedError, match="unknown_order"):
        unit_of_work(
            desk,
            lambda tx: obey(
                tx, orders.REACTIONS, facts.request_cancellation, CancellationRequest(order_id="1")
            ),
        )
    tables = ("saga_inbox", "saga_step", "saga_outbox", "customer_order")
    assert [count(desk, table) for table in tables] == [0, 0, 0, 0]


def test_a_saga_that_runs_in_the_other_style_is_not_begun_again(desk: sqlite3.Connection) -> None:
    """Both styles use the same keys, so only one of them may run a saga."""
    unit_of_work(desk, lambda tx: orders.ORDER.carry_out(tx, "create-order", order(), "order-1:create-order"))
    with pytest.raises(RejectedError, match="in another style"):
        place(desk, order())
    assert outbox_types(desk) == []
