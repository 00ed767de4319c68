"""A command starts a saga once, however often a client sends the command (P13, P19)."""

import sqlite3
from collections.abc import Iterator

import pytest

from choreography import KEY_REUSE, CommandType, Event, OperationRequest
from choreography._messaging.cloudevents import decode, encode
from choreography._transaction.command_processor import CommandProcessor
from choreography._transaction.database import run_in_transaction
from choreography._transaction.event_processor import EventProcessor
from choreography._transaction.fence import OperationRejected
from choreography._transaction.operation_executor import OperationExecutor
from examples.order import event_types as facts
from examples.order.messages import CancellationRequest, Order
from examples.order.services import orders
from sagas import RejectedError

from .fixtures.databases import count_rows, database_of, outbox_types
from .fixtures.sample_events import order, order_event


@pytest.fixture
def order_db() -> Iterator[sqlite3.Connection]:
    with database_of(orders.ORDER) as db:
        yield db


def place(db: sqlite3.Connection, message: Order) -> str | OperationRejected:
    processor = CommandProcessor(orders.REACTIONS)
    return run_in_transaction(db, lambda tx: processor.execute(tx, facts.place_order, message))


def process(db: sqlite3.Connection, event: Event) -> None:
    processor = EventProcessor(orders.REACTIONS)
    parsed = processor.parse(event)
    run_in_transaction(db, lambda tx: processor.process(tx, parsed))


def test_a_repeated_command_starts_one_saga(order_db: sqlite3.Connection) -> None:
    """The answer is the same, and no second event is stored, even after the first one was published."""
    assert place(order_db, order()) == "order-1"
    order_db.execute("delete from saga_outbox")
    assert place(order_db, order()) == "order-1"
    assert outbox_types(order_db) == []


def test_a_repeated_command_gets_the_same_answer_after_its_saga_was_compensated(
    order_db: sqlite3.Connection,
) -> None:
    """The command was accepted; the ending of the saga does not change the answer."""
    place(order_db, order())
    process(order_db, order_event(facts.stock_refused, order()))
    assert place(order_db, order()) == "order-1"
    assert outbox_types(order_db) == ["order-placed", "order-cancelled"]


def test_a_command_whose_action_is_already_void_is_rejected(order_db: sqlite3.Connection) -> None:
    """The command starts no saga, also when repeated."""
    process(order_db, order_event(facts.stock_refused, order()))
    for _ in range(2):
        with pytest.raises(RejectedError, match="voided"):
            place(order_db, order())
    assert "order-placed" not in outbox_types(order_db)


def test_a_command_with_other_content_is_rejected(order_db: sqlite3.Connection) -> None:
    """A saga id stands for a single order."""
    place(order_db, order())
    rejected = place(order_db, order(card="tok_declined"))
    assert isinstance(rejected, OperationRejected)
    assert rejected.code == KEY_REUSE
    assert outbox_types(order_db) == ["order-placed"]


def test_a_rejected_command_changes_nothing(order_db: sqlite3.Connection) -> None:
    """An order that can never be fulfilled starts no saga (P19)."""
    empty = order().model_copy(update={"lines": ()})
    with pytest.raises(RejectedError, match="empty_order"):
        place(order_db, empty)
    request, processor = CancellationRequest(order_id="1"), CommandProcessor(orders.REACTIONS)
    with pytest.raises(RejectedError, match="unknown_order"):
        run_in_transaction(order_db, lambda tx: processor.execute(tx, facts.request_cancellation, request))
    tables = ("saga_inbox", "saga_step", "saga_outbox", "customer_order")
    assert count_rows(order_db, *tables) == [0, 0, 0, 0]


@pytest.mark.parametrize("saga_id", ["", "x" * 256, "ä" * 128, "\ud800"], ids=ascii)
def test_a_command_with_an_unpublishable_saga_id_is_rejected(
    order_db: sqlite3.Connection, saga_id: str
) -> None:
    """The first effect would stay for ever, because no event of the saga could be published."""
    command = CommandType(facts.place_order.name, Order, lambda _: saga_id)
    processor = CommandProcessor(orders.REACTIONS)
    with pytest.raises(RejectedError, match="invalid_saga_id: the id of a saga has 1 to 255 bytes in UTF-8"):
        run_in_transaction(order_db, lambda tx: processor.execute(tx, command, order()))
    assert count_rows(order_db, "saga_inbox", "saga_step", "saga_outbox") == [0, 0, 0]


@pytest.mark.parametrize("saga_id", ["x" * 255, "ä" * 127], ids=ascii)
def test_the_longest_saga_id_can_be_published(order_db: sqlite3.Connection, saga_id: str) -> None:
    """The limit of a command is the limit of an event."""
    event = order_event(facts.order_placed, order()).model_copy(update={"saga_id": saga_id})
    message = encode(event)
    assert message.correlation_id == saga_id
    assert decode(message.body, message.content_type) == event


def test_a_saga_of_the_orchestrated_style_is_not_started_again(order_db: sqlite3.Connection) -> None:
    """Both styles use the same keys: only a single style can run a saga."""
    request = OperationRequest(operation="create-order", message=order(), key="order-1:create-order")
    run_in_transaction(order_db, lambda tx: OperationExecutor(orders.ORDER).execute(tx, request))
    with pytest.raises(RejectedError, match="in the orchestrated style"):
        place(order_db, order())
    assert outbox_types(order_db) == []
