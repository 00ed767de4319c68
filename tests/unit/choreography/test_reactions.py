"""Contradictory reactions are refused at construction."""

import pytest

from choreography import CommandType, EventType, Reactions, Topology, build_topology, on
from examples.order import event_types as facts
from examples.order import operations as ops
from examples.order.deployment import REACTIONS, TOPOLOGY
from examples.order.event_types import order_placed, stock_refused, stock_reserved
from examples.order.messages import CancellationRequest, CreateShipment, Order, ReserveStock, ScreenOrder
from examples.order.services import inventory, orders, shipping
from examples.order.services.inventory import INVENTORY
from examples.order.services.orders import ORDER
from examples.order.services.shipping import SHIPPING
from sagas import DefinitionError

reserve = on(order_placed).do(ops.reserve_stock, ReserveStock.of).on_done(stock_reserved)
start = on(facts.place_order).do(ops.create_order).on_done(order_placed)


def test_the_operation_of_another_participant_is_refused() -> None:
    with pytest.raises(DefinitionError, match="'shipping' cannot react with 'reserve-stock'"):
        Reactions(SHIPPING, reserve)


def test_the_event_type_of_another_participant_is_refused() -> None:
    with pytest.raises(DefinitionError, match="the source of the event type is 'shipping'"):
        Reactions(INVENTORY, reserve.on_rejected(facts.shipment_refused))


def test_a_missing_compensation_is_refused() -> None:
    with pytest.raises(DefinitionError, match="no compensation for 'create-shipment'"):
        Reactions(SHIPPING, on(order_placed).compensate(ops.create_shipment, CreateShipment.of))


def test_two_reactions_with_one_operation_are_refused() -> None:
    with pytest.raises(DefinitionError, match="with 'reserve-stock' twice"):
        Reactions(INVENTORY, reserve, on(order_placed).compensate(ops.reserve_stock, ReserveStock.of))


def test_two_reactions_that_publish_the_same_event_are_refused() -> None:
    """Both events would have the same id, and the second would be lost."""
    create = on(facts.shipment_created).do(ops.create_order).on_done(facts.order_approved)
    approve = on(facts.shipment_created).do(ops.approve_order).on_done(facts.order_approved)
    with pytest.raises(DefinitionError, match="both events would have the same id"):
        Reactions(ORDER, create, approve)


def test_one_name_for_two_event_types_is_refused() -> None:
    other = EventType("order-placed", CancellationRequest, source="order")

    def lines_of(request: CancellationRequest) -> ReserveStock:
        return ReserveStock(order_id=request.order_id, lines=())

    with pytest.raises(DefinitionError, match="two declarations of 'order-placed'"):
        Reactions(INVENTORY, reserve, on(other).do(ops.reserve_stock, lines_of))


def test_a_reaction_without_a_cause_is_refused() -> None:
    with pytest.raises(DefinitionError, match="has no cause"):
        Reactions(ORDER, on(*tuple[EventType[Order], ...]()).do(ops.create_order))


def test_reactions_of_two_participants_cannot_be_added() -> None:
    with pytest.raises(DefinitionError, match="cannot be added"):
        inventory.REACTIONS + shipping.REACTIONS


def test_an_event_type_without_a_subscriber_is_refused() -> None:
    with pytest.raises(DefinitionError, match="no participant reacts to 'stock-reserved'"):
        build_topology(Reactions(INVENTORY, reserve), Reactions(ORDER, start))


def test_a_final_event_type_needs_no_subscriber() -> None:
    """A saga may end without a reaction to the last event."""
    ended = EventType("stock-set-aside", Order, source="inventory", is_final=True)
    reactions = on(order_placed).do(ops.reserve_stock, ReserveStock.of).on_done(ended)
    topology = build_topology(Reactions(INVENTORY, reactions), Reactions(ORDER, start))
    assert topology == Topology(
        queues={"inventory": frozenset({("order", "order-placed")}), "order": frozenset()}
    )


def test_an_event_type_without_a_publisher_is_refused() -> None:
    with pytest.raises(DefinitionError, match="no reaction of 'order' publishes 'order-placed'"):
        build_topology(Reactions(INVENTORY, on(order_placed).do(ops.reserve_stock, ReserveStock.of)))


def test_a_participant_that_is_given_twice_is_refused() -> None:
    with pytest.raises(DefinitionError, match="'order' are given twice"):
        build_topology(orders.REACTIONS, orders.REACTIONS)


def test_one_name_for_two_event_types_of_one_participant_is_refused() -> None:
    other = EventType("stock-reserved", Order, source="inventory", is_final=True)
    with pytest.raises(DefinitionError, match="two event types called 'stock-reserved'"):
        build_topology(
            Reactions(ORDER, start, on(other).do(ops.screen_order, ScreenOrder.of)),
            Reactions(INVENTORY, reserve),
        )


again = EventType("order-seen-again", Order, source="order")
CYCLE = (
    Reactions(ORDER, start, on(stock_reserved).do(ops.approve_order).on_done(again)),
    Reactions(
        INVENTORY, on(order_placed, again).do(ops.reserve_stock, ReserveStock.of).on_done(stock_reserved)
    ),
)


def test_a_cycle_is_refused() -> None:
    """A cycle of events never ends; the message shows the cycle."""
    with pytest.raises(DefinitionError, match="'stock-reserved' → 'order-seen-again' → 'stock-reserved'"):
        build_topology(*CYCLE)


def test_a_declared_cycle_is_allowed() -> None:
    assert build_topology(*CYCLE, loops=[again]).queues["inventory"] == {
        ("order", "order-placed"),
        ("order", "order-seen-again"),
    }


def test_services_of_the_examples_subscribe_only_to_events_after_their_actions() -> None:
    """A service without an effect gets no event of the failure: no action is voided without need."""
    assert TOPOLOGY.queues["shipping"] == {
        ("payment", "payment-captured"),
        ("order", "cancellation-requested"),
    }
    assert ("inventory", stock_refused.name) not in TOPOLOGY.queues["payment"]
    assert set(TOPOLOGY.queues) == set(REACTIONS)
    assert isinstance(facts.place_order, CommandType)
