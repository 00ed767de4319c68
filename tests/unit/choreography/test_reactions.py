"""Reactions that contradict themselves, or do not fit together, are refused where they are made."""

import pytest

from choreography import Command, Fact, Reactions, Topology, on, topology_of
from examples.order import event_types as facts
from examples.order import operations as ops
from examples.order.deployment import REACTIONS, TOPOLOGY
from examples.order.event_types import order_placed, stock_refused, stock_reserved
from examples.order.messages import (
    CancellationRequest,
    CreateShipment,
    Order,
    ReserveStock,
    ScreenOrder,
)
from examples.order.services import inventory, orders, shipping
from examples.order.services.inventory import INVENTORY
from examples.order.services.orders import ORDER
from examples.order.services.shipping import SHIPPING
from sagas import DefinitionError

reserve = on(order_placed).do(ops.reserve_stock, ReserveStock.of).then(stock_reserved)
begin = on(facts.place_order).do(ops.create_order).then(order_placed)


def test_the_operation_of_another_participant_is_refused() -> None:
    with pytest.raises(DefinitionError, match="'shipping' cannot react with 'reserve-stock'"):
        Reactions(SHIPPING, reserve)


def test_the_fact_of_another_participant_is_refused() -> None:
    with pytest.raises(DefinitionError, match="it is a fact of 'shipping'"):
        Reactions(INVENTORY, reserve.or_else(facts.shipment_refused))


def test_a_compensation_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DefinitionError, match="nothing that makes up for 'create-shipment'"):
        Reactions(SHIPPING, on(order_placed).compensate(ops.create_shipment, CreateShipment.of))


def test_two_reactions_with_one_operation_are_refused() -> None:
    with pytest.raises(DefinitionError, match="with 'reserve-stock' twice"):
        Reactions(INVENTORY, reserve, on(order_placed).compensate(ops.reserve_stock, ReserveStock.of))


def test_two_reactions_that_tell_the_same_are_refused() -> None:
    """Both would have the same id, and one would be lost."""
    create = on(facts.shipment_created).do(ops.create_order).then(facts.order_approved)
    approve = on(facts.shipment_created).do(ops.approve_order).then(facts.order_approved)
    with pytest.raises(DefinitionError, match="both would be one event"):
        Reactions(ORDER, create, approve)


def test_one_name_for_two_facts_is_refused() -> None:
    other = Fact("order-placed", CancellationRequest, by="order")

    def lines_of(request: CancellationRequest) -> ReserveStock:
        return ReserveStock(order_id=request.order_id, lines=())

    with pytest.raises(DefinitionError, match="two things called 'order-placed'"):
        Reactions(INVENTORY, reserve, on(other).do(ops.reserve_stock, lines_of))


def test_a_reaction_to_nothing_is_refused() -> None:
    with pytest.raises(DefinitionError, match="is to nothing"):
        Reactions(ORDER, on(*tuple[Fact[Order], ...]()).do(ops.create_order))


def test_reactions_of_two_participants_cannot_be_added() -> None:
    with pytest.raises(DefinitionError, match="two things"):
        inventory.REACTIONS + shipping.REACTIONS


def test_a_fact_that_nobody_hears_is_refused() -> None:
    with pytest.raises(DefinitionError, match="nobody reacts to 'stock-reserved'"):
        topology_of(Reactions(INVENTORY, reserve), Reactions(ORDER, begin))


def test_a_final_fact_needs_nobody() -> None:
    """The end of a saga may go unheard."""
    ended = Fact("stock-set-aside", Order, by="inventory", is_final=True)
    reactions = on(order_placed).do(ops.reserve_stock, ReserveStock.of).then(ended)
    topology = topology_of(Reactions(INVENTORY, reactions), Reactions(ORDER, begin))
    assert topology == Topology(
        queues={"inventory": frozenset({("order", "order-placed")}), "order": frozenset()}
    )


def test_a_fact_that_nobody_tells_is_refused() -> None:
    with pytest.raises(DefinitionError, match="nobody ever tells 'order-placed'"):
        topology_of(Reactions(INVENTORY, on(order_placed).do(ops.reserve_stock, ReserveStock.of)))


def test_a_participant_that_is_given_twice_is_refused() -> None:
    with pytest.raises(DefinitionError, match="'order' are given twice"):
        topology_of(orders.REACTIONS, orders.REACTIONS)


def test_a_name_for_two_facts_of_one_participant_is_refused() -> None:
    other = Fact("stock-reserved", Order, by="inventory", is_final=True)
    with pytest.raises(DefinitionError, match="two facts called 'stock-reserved'"):
        topology_of(
            Reactions(ORDER, begin, on(other).do(ops.screen_order, ScreenOrder.of)),
            Reactions(INVENTORY, reserve),
        )


again = Fact("order-seen-again", Order, by="order")
CIRCLE = (
    Reactions(ORDER, begin, on(stock_reserved).do(ops.approve_order).then(again)),
    Reactions(INVENTORY, on(order_placed, again).do(ops.reserve_stock, ReserveStock.of).then(stock_reserved)),
)


def test_a_circle_is_refused() -> None:
    """Events that lead to themselves never end; the message shows the way round."""
    with pytest.raises(DefinitionError, match="'stock-reserved' → 'order-seen-again' → 'stock-reserved'"):
        topology_of(*CIRCLE)


def test_a_circle_that_is_declared_is_allowed() -> None:
    assert topology_of(*CIRCLE, loops=[again]).queues["inventory"] == {
        ("order", "order-placed"),
        ("order", "order-seen-again"),
    }


def test_every_service_of_the_examples_hears_only_what_concerns_it() -> None:
    """Whoever did nothing yet does not hear of a failure, so nothing is voided without need."""
    assert TOPOLOGY.queues["shipping"] == {
        ("payment", "payment-captured"),
        ("order", "cancellation-requested"),
    }
    assert ("inventory", stock_refused.name) not in TOPOLOGY.queues["payment"]
    assert set(TOPOLOGY.queues) == set(REACTIONS)
    assert isinstance(facts.place_order, Command)
