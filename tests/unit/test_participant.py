"""A participant that is wired wrongly is refused when it is made."""

import sqlite3

import pytest

from choreography import ContractError, Handles, Participant, connect
from examples.order import operations as order
from examples.order.messages import Address, CreateShipment, OrderLine, ReserveStock
from examples.order.services import inventory
from examples.order.services.inventory import release, reserve
from sagas import DefinitionError, Operation


def test_an_operation_of_another_participant_is_refused() -> None:
    """A participant handles only what is its own."""
    with pytest.raises(DefinitionError, match="belongs to participant 'inventory'"):
        Participant(name="shipping", tables="", handles=(Handles(order.reserve_stock, reserve),))


def test_an_operation_that_is_handled_twice_is_refused() -> None:
    """Nobody could say which code would run."""
    handles = Handles(order.reserve_stock, reserve)
    with pytest.raises(DefinitionError, match="handled twice"):
        Participant(name="inventory", tables="", handles=(handles, handles))


def test_a_compensation_by_another_participant_is_refused() -> None:
    """Only the owner of the data can make up for a change of it."""
    foreign = Operation(
        name="release-stock",
        participant="shipping",
        message=ReserveStock,
        result=order.release_stock.result,
    )
    with pytest.raises(DefinitionError, match="only the owner"):
        Handles(order.reserve_stock, reserve).compensated_by(foreign, release)


def test_a_message_of_another_operation_is_a_fault_of_the_caller() -> None:
    """The wiring loses the types at run time, so they are checked there."""
    address = Address(street="Main Street 1", postal_code="10115", country="DE")
    lines = (OrderLine(sku="TEA-GREEN", quantity=1),)
    wrong = CreateShipment(order_id="o", lines=lines, address=address)
    connection = connect(":memory:", schema=inventory.INVENTORY.schema)
    with pytest.raises(ContractError, match="ReserveStock, not a CreateShipment"):
        inventory.INVENTORY.carry_out(connection, "reserve-stock", wrong, "k")
    connection.close()


def test_an_unknown_operation_is_a_fault_of_the_caller() -> None:
    """There is no default for what a participant does."""
    connection = sqlite3.connect(":memory:")
    message = ReserveStock(order_id="o", lines=())
    with pytest.raises(KeyError, match="ship-stock"):
        inventory.INVENTORY.carry_out(connection, "ship-stock", message, "k")
    connection.close()
