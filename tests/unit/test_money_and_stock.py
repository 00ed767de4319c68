"""Money and stock are conserved at every commit, for all requests in any order (P16)."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreography import OperationRequest, Participant, build_schema
from choreography._transaction.database import open_connection, run_in_transaction
from choreography._transaction.fence import OperationRejected
from choreography._transaction.operation_executor import OperationDone, OperationExecutor
from examples.order.messages import OrderLine, ReserveStock
from examples.order.services import inventory
from examples.payment.messages import Customer, Payment, PaymentMethod
from examples.payment.services import ledger
from examples.payment.services import payment as payment_service

ORDERS = ("order-1", "order-2")


def payment(order_id: str = "order-1", amount: int = 500, token: str = "tok_visa") -> Payment:
    return Payment(
        order_id=order_id,
        amount=amount,
        currency="EUR",
        customer=Customer(id="ada", email="ada@example.com"),
        method=PaymentMethod(type="card", token=token, last_four="4242"),
    )


def execute(
    db: sqlite3.Connection,
    participant: Participant,
    operation: str,
    message: Payment | ReserveStock,
    key: str,
) -> OperationDone | OperationRejected:
    request = OperationRequest(operation=operation, message=message, key=key)
    return run_in_transaction(db, lambda tx: OperationExecutor(participant).execute(tx, request))


payments = st.builds(
    payment,
    order_id=st.sampled_from(ORDERS),
    amount=st.sampled_from([300, 500]),
    token=st.sampled_from(["tok_visa", "tok_visa", "tok_visa", "tok_declined", "tok_capture_refused"]),
)
payment_requests = st.lists(
    st.tuples(
        st.sampled_from([operation.name for operation in payment_service.PAYMENT.operations]),
        payments,
        st.sampled_from(["a", "b", "c"]),
    ),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(payment_requests)
def test_the_ledger_balances_after_every_commit(requests: list[tuple[str, Payment, str]]) -> None:
    """Captures never exceed authorizations, and a compensated posting stays compensated."""
    compensated: set[tuple[str, str]] = set()
    with closing(open_connection(":memory:", schema=build_schema(payment_service.PAYMENT))) as db:
        for operation, message, name in requests:
            is_hold = operation in {"authorize-payment", "void-authorization"}
            key = f"{message.order_id}/{'authorize' if is_hold else 'capture'}-{name}"
            answer = execute(db, payment_service.PAYMENT, operation, message, key)
            is_compensation = operation in {"void-authorization", "refund-payment"}
            if is_compensation and isinstance(answer, OperationDone):
                compensated.add(("hold" if is_hold else "capture", key))
            check_books(db, compensated)


def check_books(db: sqlite3.Connection, compensated: set[tuple[str, str]]) -> None:
    assert all(accounts["sum"] == 0 for accounts in ledger.balance(db).values())
    for (order_id,) in db.execute("select distinct order_id from posting").fetchall():
        ledger.verify(db, order_id)
    for kind, key in compensated:
        (left,) = db.execute(
            "select coalesce(sum(iif(reverses is null, amount, -amount)), 0) from posting"
            " where key = ? and kind in (?, ?)",
            (key, kind, ledger.REVERSALS[kind]),
        ).fetchone()
        assert left == 0, f"the {kind} of {key} was compensated, and {left} is left"


def test_a_compensated_payment_leaves_every_account_unchanged() -> None:
    """Authorize and capture move the money to the merchant; refund and void move it all back."""
    with closing(open_connection(":memory:", schema=build_schema(payment_service.PAYMENT))) as db:
        execute(db, payment_service.PAYMENT, "authorize-payment", payment(), "a")
        execute(db, payment_service.PAYMENT, "capture-payment", payment(), "c")
        paid = ledger.balance(db)
        execute(db, payment_service.PAYMENT, "refund-payment", payment(), "c")
        execute(db, payment_service.PAYMENT, "void-authorization", payment(), "a")
        assert paid == {"EUR": {"customer": -500, "escrow": 0, "merchant": 500, "sum": 0}}
        assert ledger.balance(db) == {"EUR": {"customer": 0, "escrow": 0, "merchant": 0, "sum": 0}}
        assert payment_service.state(db, "order-1")["effects"] == []


@pytest.mark.parametrize("other", [{"amount": 300}, {"order_id": "order-2"}])
def test_a_capture_needs_an_authorization_of_the_same_payment(other: dict[str, object]) -> None:
    """An authorization covers exactly one payment of its order."""
    with closing(open_connection(":memory:", schema=build_schema(payment_service.PAYMENT))) as db:
        execute(db, payment_service.PAYMENT, "authorize-payment", payment(), "a")
        changed = payment().model_copy(update=other)
        refused = execute(db, payment_service.PAYMENT, "capture-payment", changed, "c")
        assert isinstance(refused, OperationRejected)
        assert refused.code == "not_authorized"


def test_a_voided_authorization_cannot_be_captured() -> None:
    """A released amount cannot be captured."""
    with closing(open_connection(":memory:", schema=build_schema(payment_service.PAYMENT))) as db:
        execute(db, payment_service.PAYMENT, "authorize-payment", payment(), "a")
        execute(db, payment_service.PAYMENT, "void-authorization", payment(), "a")
        refused = execute(db, payment_service.PAYMENT, "capture-payment", payment(), "c")
        assert isinstance(refused, OperationRejected)
        assert refused.code == "not_authorized"


def test_an_authorization_is_captured_once_even_under_two_keys() -> None:
    """The second capture finds no open authorization."""
    with closing(open_connection(":memory:", schema=build_schema(payment_service.PAYMENT))) as db:
        execute(db, payment_service.PAYMENT, "authorize-payment", payment(), "a")
        assert isinstance(
            execute(db, payment_service.PAYMENT, "capture-payment", payment(), "c1"), OperationDone
        )
        assert isinstance(
            execute(db, payment_service.PAYMENT, "capture-payment", payment(), "c2"), OperationRejected
        )


@pytest.fixture
def books() -> Iterator[sqlite3.Connection]:
    with closing(open_connection(":memory:", schema=build_schema(payment_service.PAYMENT))) as db:
        execute(db, payment_service.PAYMENT, "authorize-payment", payment(), "a")
        yield db


@pytest.mark.parametrize(
    "tampering",
    [
        "update posting set amount = 1",
        "delete from posting",
        "update order_total set captured = authorised + 1",
        "update order_total set refunded = captured + 1",
        (
            "insert into posting(key, kind, order_id, customer_id, debit, credit, amount, currency)"
            " values('x', 'capture', 'order-1', 'ada', 'escrow', 'merchant', 501, 'EUR')"
        ),
        (
            "insert into posting(key, kind, order_id, customer_id, debit, credit, amount, currency)"
            " values('x', 'hold', 'order-1', 'ada', 'escrow', 'escrow', 500, 'EUR')"
        ),
    ],
)
def test_the_schema_refuses_to_change_the_books(books: sqlite3.Connection, tampering: str) -> None:
    """No code can change a posting, or capture more than was authorised."""
    with pytest.raises(sqlite3.IntegrityError):
        books.execute(tampering)


def test_unbalanced_books_are_found(books: sqlite3.Connection) -> None:
    """The check before each commit compares the totals with the postings."""
    books.execute("update order_total set authorised = authorised + 1")
    with pytest.raises(ledger.LedgerError, match="do not agree"):
        ledger.verify(books, "order-1")


reservations = st.builds(
    ReserveStock,
    order_id=st.sampled_from(ORDERS),
    lines=st.lists(
        st.builds(
            OrderLine,
            sku=st.sampled_from([*inventory.CATALOGUE, "NO-SUCH-THING"]),
            quantity=st.integers(-1, 1001),
        ),
        max_size=3,
    ).map(tuple),
)
stock_requests = st.lists(
    st.tuples(
        st.sampled_from(["reserve-stock", "release-stock"]), reservations, st.sampled_from(["a", "b", "c"])
    ),
    max_size=20,
)


@settings(max_examples=200, deadline=None)
@given(stock_requests)
def test_stock_is_conserved_after_every_commit(requests: list[tuple[str, ReserveStock, str]]) -> None:
    """Per article, on hand + reserved is constant, and reserved equals the sum of all reservations."""
    with closing(open_connection(":memory:", schema=build_schema(inventory.INVENTORY))) as db:
        for operation, message, key in requests:
            execute(db, inventory.INVENTORY, operation, message, key)
            assert inventory.balance(db)["is_conserved"]


def test_a_reservation_takes_all_lines_or_none() -> None:
    """An order with a sold-out article reserves none of its articles."""
    lines = (OrderLine(sku="TEA-GREEN", quantity=2), OrderLine(sku="SOLD-OUT", quantity=1))
    with closing(open_connection(":memory:", schema=build_schema(inventory.INVENTORY))) as db:
        refused = execute(
            db, inventory.INVENTORY, "reserve-stock", ReserveStock(order_id="o", lines=lines), "k"
        )
        assert refused == OperationRejected(
            code="out_of_stock", reason="0 of 'SOLD-OUT' are left, not 1", field="lines.1.quantity"
        )
        assert inventory.state(db, "o") == {"effects": [], "reserved": {}}
