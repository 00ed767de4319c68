"""A contradictory participant is refused at construction, and wrong messages at execution."""

import sqlite3
from collections.abc import Iterator

import pytest

from choreography import ContractError, OperationHandler, OperationRequest, Participant
from choreography._transaction.operation_executor import OperationExecutor
from examples.order import operations as order
from examples.order.messages import Address, CreateShipment, OrderLine, ReserveStock
from examples.order.services import inventory
from examples.order.services.inventory import release, reserve
from sagas import DefinitionError, Operation

from .fixtures.databases import database_of


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with database_of(inventory.INVENTORY) as db:
        yield db


def test_an_operation_of_another_participant_is_refused() -> None:
    """A participant has handlers for its own operations only."""
    with pytest.raises(DefinitionError, match="belongs to participant 'inventory'"):
        Participant(name="shipping", tables="", handlers=(OperationHandler(order.reserve_stock, reserve),))


def test_an_operation_with_two_handlers_is_refused() -> None:
    """The choice between the two handlers would be arbitrary."""
    handler = OperationHandler(order.reserve_stock, reserve)
    with pytest.raises(DefinitionError, match="has two handlers"):
        Participant(name="inventory", tables="", handlers=(handler, handler))


def test_a_compensation_by_another_participant_is_refused() -> None:
    """Only the owner of the data can compensate a change of the data."""
    foreign = Operation(
        name="release-stock",
        participant="shipping",
        message=ReserveStock,
        result=order.release_stock.result,
    )
    with pytest.raises(DefinitionError, match="only the owner"):
        OperationHandler(order.reserve_stock, reserve).compensated_by(foreign, release)


def test_a_message_of_another_operation_is_refused(connection: sqlite3.Connection) -> None:
    """Handlers lose their static types at run time, so the executor checks the message."""
    address = Address(street="Main Street 1", postal_code="10115", country="DE")
    lines = (OrderLine(sku="TEA-GREEN", quantity=1),)
    wrong = CreateShipment(order_id="o", lines=lines, address=address)
    request = OperationRequest(operation="reserve-stock", message=wrong, key="k")
    with pytest.raises(ContractError, match="must be a ReserveStock, not a CreateShipment"):
        OperationExecutor(inventory.INVENTORY).execute(connection, request)


def test_an_unknown_operation_is_refused(connection: sqlite3.Connection) -> None:
    """A participant has no default operation."""
    message = ReserveStock(order_id="o", lines=())
    request = OperationRequest(operation="ship-stock", message=message, key="k")
    with pytest.raises(KeyError, match="ship-stock"):
        OperationExecutor(inventory.INVENTORY).execute(connection, request)
