"""A participant resumes after a crash at any moment, and stops cleanly (P7, P12, P13)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from choreography import Database, OperationRequest, RunningParticipant, build_schema, run_participant
from choreography._transaction.failpoint import Failpoint
from examples.demo.scenario import Scenario
from examples.order import event_types as facts
from examples.order.deployment import REACTIONS, SERVICES, TOPOLOGY
from examples.order.messages import Order
from examples.order.scenarios import CANCELLED_NOTICES, ORDERS, an_order
from examples.order.services import inventory
from examples.payment.scenarios import PAYMENTS
from examples.service_kit.gates import Gates
from examples.service_kit.http_api import create_app
from examples.service_kit.process import react_to_events
from examples.stack.end_state import EndState, read_end_state
from tests.waiting import until

from .fixtures.fake_bus import FakeBus, types
from .fixtures.sample_events import order, order_event


class Crash(BaseException):
    """The process ends."""


@asynccontextmanager
async def service(
    path: Path, bus: FakeBus, **options: Any
) -> AsyncGenerator[tuple[RunningParticipant, Database], None]:
    """The inventory as in a separate process; a second start finds the database of the first start."""
    async with (
        Database.open(path / "inventory", schema=build_schema(inventory.INVENTORY)) as database,
        run_participant(inventory.REACTIONS, database, bus, **options) as running,
    ):
        yield running, database


async def effects(database: Database) -> tuple[object, object]:
    """The present effects, and whether the stock is conserved."""
    state = await database.read(lambda tx: inventory.state(tx, "1"))
    balance = await database.read(inventory.balance)
    return state["effects"], balance["is_conserved"]


@pytest.mark.parametrize(
    "failpoint", [Failpoint.AFTER_INBOX, Failpoint.BEFORE_COMMIT, Failpoint.AFTER_COMMIT]
)
async def test_the_next_delivery_completes_an_event_after_a_crash(
    tmp_path: Path, failpoint: Failpoint
) -> None:
    """The effect exists exactly once, and one event is published."""

    def crash(passed: Failpoint) -> None:
        if passed is failpoint:
            raise Crash

    bus, placed = FakeBus(), order_event(facts.order_placed, order())
    bus.is_down = True
    async with service(tmp_path, bus, on_failpoint=crash) as (running, _):
        with pytest.raises(Crash):
            await running.handle_event(placed)
    bus.is_down = False
    async with service(tmp_path, bus) as (running, database):
        await running.handle_event(placed)
        assert await effects(database) == (["reserve-stock"], True)
    assert types(bus.published) == ["stock-reserved"]


async def test_a_crash_between_publishing_and_deleting_publishes_the_event_again(tmp_path: Path) -> None:
    """Both publications have the same id, and consumers deduplicate."""

    def crash(passed: Failpoint) -> None:
        if passed is Failpoint.AFTER_PUBLISH:
            raise Crash

    bus, placed = FakeBus(), order_event(facts.order_placed, order())
    with pytest.raises(Crash):
        async with service(tmp_path, bus, on_failpoint=crash) as (running, _):
            await running.handle_event(placed)
    async with service(tmp_path, bus):
        await until(lambda: len(bus.published) == 2)
    first, second = bus.published
    assert first == second


async def test_five_concurrent_deliveries_are_processed_once(tmp_path: Path) -> None:
    """The inbox also deduplicates concurrent deliveries."""
    bus, placed = FakeBus(), order_event(facts.order_placed, order())
    async with service(tmp_path, bus) as (running, database):
        await asyncio.gather(*(running.handle_event(placed) for _ in range(5)))
        assert await effects(database) == (["reserve-stock"], True)
    assert types(bus.published) == ["stock-reserved"]


async def test_a_stop_publishes_committed_events(tmp_path: Path) -> None:
    """The events caused by the last event are published before the context closes."""
    bus = FakeBus()
    async with service(tmp_path, bus) as (running, _):
        await running.handle_event(order_event(facts.order_placed, order()))
    assert types(bus.published) == ["stock-reserved"]


@dataclass
class BlockingInjector:
    """Blocks every operation."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def before_operation(self, request: OperationRequest) -> None:
        self.reached.set()
        await asyncio.Event().wait()

    def is_outcome_known(self, request: OperationRequest) -> bool:
        return True

    async def after_commit(self, request: OperationRequest) -> None:
        """Never called."""


async def test_a_stop_does_not_wait_for_the_fault_injector(tmp_path: Path) -> None:
    """The event has not reached the transaction and is delivered to the next consumer."""
    bus, injector = FakeBus(), BlockingInjector()
    await bus.declare(TOPOLOGY)
    await bus.publish(order_event(facts.order_placed, order()))
    async with service(tmp_path, bus, fault_injector=injector):
        await injector.reached.wait()
    assert not bus.is_quiet
    async with service(tmp_path, bus) as (_, database):

        async def is_reserved() -> bool:
            return await effects(database) == (["reserve-stock"], True)

        await until(is_reserved)


async def test_an_error_in_the_context_is_raised_unchanged(tmp_path: Path) -> None:
    """The participant does not hide the error of the program."""
    with pytest.raises(LookupError):
        async with service(tmp_path, FakeBus()):
            raise LookupError


@dataclass
class RunningServices:
    """All five services, each with database, HTTP routes and event consumer."""

    clients: dict[str, httpx.AsyncClient]

    @property
    def urls(self) -> dict[str, str]:
        return dict.fromkeys(self.clients, "")

    async def get(self, name: str, path: str) -> dict[str, object]:
        answer: dict[str, object] = (await self.clients[name].get(path)).raise_for_status().json()
        return answer

    async def post(self, name: str, path: str, message: Any = None) -> httpx.Response:
        return await self.clients[name].post(path, json=message)

    async def ends(self, scenario: Scenario, order_id: str) -> EndState:
        """Waits for the expected ending."""
        endings: list[EndState] = []

        async def has_ended() -> bool:
            endings.append(await read_end_state(self, order_id))
            ending = endings[-1]
            return ending.effects == scenario.effects and ending.notices == tuple(sorted(scenario.notices))

        try:
            await until(has_ended, within=15)
        except AssertionError:
            raise AssertionError(f"{scenario.name} stays in {endings[-1]}") from None
        return endings[-1]


@asynccontextmanager
async def run_services(path: Path, bus: FakeBus) -> AsyncGenerator[RunningServices, None]:
    async with AsyncExitStack() as stack:
        clients: dict[str, httpx.AsyncClient] = {}
        for name, each in SERVICES.items():
            database = await stack.enter_async_context(
                Database.open(path / name, schema=build_schema(each.participant))
            )
            gates = Gates()
            running = await stack.enter_async_context(react_to_events(each, TOPOLOGY, database, bus, gates))
            transport = httpx.ASGITransport(create_app(each, database, gates=gates, running=running))
            client = httpx.AsyncClient(transport=transport, base_url="http://service")
            clients[name] = await stack.enter_async_context(client)
        yield RunningServices(clients)


@pytest.mark.parametrize(
    "scenario",
    [each for each in (*ORDERS, *PAYMENTS) if each.status != "cancelled"],
    ids=lambda scenario: scenario.name,
)
async def test_every_scenario_has_the_ending_of_the_orchestrated_saga(
    tmp_path: Path, scenario: Scenario
) -> None:
    """Business code and faults are the same, with events in place of an orchestrator."""
    bus, message = FakeBus(copies=2), scenario.build("7")
    async with run_services(tmp_path, bus) as services:
        await services.post("payment", "/test/gates/7")
        name, path = (
            ("order", "/place-order") if isinstance(message, Order) else ("payment", "/place-payment")
        )
        accepted = await services.post(name, path, message.model_dump(mode="json"))
        assert (accepted.status_code, accepted.json()) == (202, {"saga_id": f"{name}-7"})
        ending = await services.ends(scenario, "7")
    assert (ending.unbalanced, bus.dead_letters) == ((), [])


async def test_a_cancellation_during_the_capture_compensates_the_order(tmp_path: Path) -> None:
    """Shipping decides: the parcel has not left, so every action is compensated, and no receipt is sent."""
    bus = FakeBus()
    scenario = next(each for each in ORDERS if each.name == "customer-cancels")
    async with run_services(tmp_path, bus) as services:
        await services.post("order", "/place-order", scenario.build("7").model_dump(mode="json"))
        await services.get("payment", "/test/gates/7")
        assert (await services.post("order", "/request-cancellation", {"order_id": "7"})).status_code == 202

        async def is_customer_notified() -> bool:
            return (await read_end_state(services, "7")).notices == CANCELLED_NOTICES

        await until(is_customer_notified)
        await services.post("payment", "/test/gates/7")
        await services.ends(scenario, "7")
    assert bus.dead_letters == []


async def test_a_cancellation_after_the_shipment_changes_nothing(tmp_path: Path) -> None:
    """The order service accepts the request, and shipping finds that the parcel has left."""
    bus, scenario = FakeBus(), ORDERS[0]
    async with run_services(tmp_path, bus) as services:
        await services.post("order", "/place-order", an_order()("7").model_dump(mode="json"))
        await services.ends(scenario, "7")
        await services.post("order", "/request-cancellation", {"order_id": "7"})
        await until(lambda: bus.is_quiet)
        await services.ends(scenario, "7")


async def test_a_service_rejects_an_invalid_order(tmp_path: Path) -> None:
    """No saga starts, and the client gets the field and the rule (P19)."""
    bus = FakeBus()
    empty = an_order()("7").model_dump(mode="json") | {"lines": []}
    async with run_services(tmp_path, bus) as services:
        refused = await services.post("order", "/place-order", empty)
        assert (refused.status_code, refused.json()["code"]) == (422, "empty_order")
        unknown = await services.post("order", "/request-cancellation", {"order_id": "7"})
        assert (unknown.status_code, unknown.json()["code"]) == (409, "unknown_order")
    assert bus.published == []
    assert set(REACTIONS) == set(SERVICES)
