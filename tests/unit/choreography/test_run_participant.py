"""A participant that runs: whenever it dies, it goes on where it was; and it stops cleanly (P7, P12, P13)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from choreography import Assignment, Database, Failpoint, RunningParticipant, run_participant
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

from .bus import SmallBus, types
from .facts import order, told


class Crash(BaseException):
    """The process died."""


@asynccontextmanager
async def service(
    path: Path, bus: SmallBus, **options: Any
) -> AsyncGenerator[tuple[RunningParticipant, Database], None]:
    """The inventory as a process of its own would run it; started again, it finds its file."""
    async with (
        Database.open(path / "inventory", schema=inventory.INVENTORY.schema) as database,
        run_participant(inventory.REACTIONS, database, bus, **options) as running,
    ):
        yield running, database


async def effects(database: Database) -> tuple[object, object]:
    """What is reserved, and whether the books balance."""
    state = await database.read(lambda tx: inventory.state(tx, "1"))
    balance = await database.read(inventory.balance)
    return state["effects"], balance["is_conserved"]


@pytest.mark.parametrize(
    "failpoint", [Failpoint.AFTER_INBOX, Failpoint.BEFORE_COMMIT, Failpoint.AFTER_COMMIT]
)
async def test_a_crash_while_an_event_is_handled_is_made_good_by_its_next_delivery(
    tmp_path: Path, failpoint: Failpoint
) -> None:
    """The effect is there exactly once, and so is what is told of it."""

    def die(passed: Failpoint) -> None:
        if passed is failpoint:
            raise Crash

    bus, placed = SmallBus(), told(facts.order_placed, order())
    bus.is_down = True
    async with service(tmp_path, bus, failpoint=die) as (running, _):
        with pytest.raises(Crash):
            await running.hear(placed)
    bus.is_down = False
    async with service(tmp_path, bus) as (running, database):
        await running.hear(placed)
        assert await effects(database) == (["reserve-stock"], True)
    assert types(bus.published) == ["stock-reserved"]


async def test_a_crash_between_publishing_and_forgetting_tells_it_again(tmp_path: Path) -> None:
    """The second time it is the same event, which its hearers know."""

    def die(passed: Failpoint) -> None:
        if passed is Failpoint.AFTER_PUBLISH:
            raise Crash

    bus, placed = SmallBus(), told(facts.order_placed, order())
    with pytest.raises(Crash):
        async with service(tmp_path, bus, failpoint=die) as (running, _):
            await running.hear(placed)
    async with service(tmp_path, bus):
        await until(lambda: len(bus.published) == 2)
    first, second = bus.published
    assert first == second


async def test_five_deliveries_at_once_are_handled_once(tmp_path: Path) -> None:
    """Also when they do not come one after the other."""
    bus, placed = SmallBus(), told(facts.order_placed, order())
    async with service(tmp_path, bus) as (running, database):
        await asyncio.gather(*(running.hear(placed) for _ in range(5)))
        assert await effects(database) == (["reserve-stock"], True)
    assert types(bus.published) == ["stock-reserved"]


async def test_a_stop_tells_what_is_committed(tmp_path: Path) -> None:
    """What follows from the last event is published before the context closes."""
    bus = SmallBus()
    async with service(tmp_path, bus) as (running, _):
        await running.hear(told(facts.order_placed, order()))
    assert types(bus.published) == ["stock-reserved"]


@dataclass
class ShutDoor:
    """Lets nobody in."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def enter(self, assignment: Assignment) -> None:
        self.reached.set()
        await asyncio.Event().wait()

    def is_answered(self, assignment: Assignment) -> bool:
        return True

    async def leave(self, assignment: Assignment) -> None:
        """Nobody does."""


async def test_a_stop_does_not_wait_for_what_waits_at_the_door(tmp_path: Path) -> None:
    """Nothing has happened to it yet, so it is delivered to the next who consumes."""
    bus, shut = SmallBus(), ShutDoor()
    await bus.declare(TOPOLOGY)
    await bus.publish(told(facts.order_placed, order()))
    async with service(tmp_path, bus, door=shut):
        await shut.reached.wait()
    assert not bus.is_quiet
    async with service(tmp_path, bus) as (_, database):

        async def is_reserved() -> bool:
            return await effects(database) == (["reserve-stock"], True)

        await until(is_reserved)


async def test_an_error_of_who_runs_it_comes_out_as_it_is(tmp_path: Path) -> None:
    """A program that fails while its participant runs fails with its own error."""
    with pytest.raises(LookupError):
        async with service(tmp_path, SmallBus()):
            raise LookupError


@dataclass
class Running:
    """All five services, each with its file, its HTTP door and its event door."""

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
        """The ending, once it is what it must be."""
        endings: list[EndState] = []

        async def is_there() -> bool:
            endings.append(await read_end_state(self, order_id))
            ending = endings[-1]
            return ending.effects == scenario.effects and ending.notices == tuple(sorted(scenario.notices))

        try:
            await until(is_there, within=15)
        except AssertionError:
            raise AssertionError(f"{scenario.name} stays at {endings[-1]}") from None
        return endings[-1]


@asynccontextmanager
async def everybody(path: Path, bus: SmallBus) -> AsyncGenerator[Running, None]:
    async with AsyncExitStack() as stack:
        clients: dict[str, httpx.AsyncClient] = {}
        for name, each in SERVICES.items():
            database = await stack.enter_async_context(
                Database.open(path / name, schema=each.participant.schema)
            )
            gates = Gates()
            running = await stack.enter_async_context(react_to_events(each, TOPOLOGY, database, bus, gates))
            transport = httpx.ASGITransport(create_app(each, database, gates=gates, running=running))
            client = httpx.AsyncClient(transport=transport, base_url="http://service")
            clients[name] = await stack.enter_async_context(client)
        yield Running(clients)


@pytest.mark.parametrize(
    "scenario",
    [each for each in (*ORDERS, *PAYMENTS) if each.status != "cancelled"],
    ids=lambda scenario: scenario.name,
)
async def test_the_services_end_every_scenario_as_the_orchestrated_saga_does(
    tmp_path: Path, scenario: Scenario
) -> None:
    """The same business code and the same faults, with events instead of an orchestrator."""
    bus, message = SmallBus(copies=2), scenario.build("7")
    async with everybody(tmp_path, bus) as services:
        await services.post("payment", "/test/gates/7")
        name, path = (
            ("order", "/place-order") if isinstance(message, Order) else ("payment", "/place-payment")
        )
        accepted = await services.post(name, path, message.model_dump(mode="json"))
        assert (accepted.status_code, accepted.json()) == (202, {"saga_id": f"{name}-7"})
        ending = await services.ends(scenario, "7")
    assert (ending.unbalanced, bus.dead) == ((), [])


async def test_the_customer_cancels_while_the_money_is_taken(tmp_path: Path) -> None:
    """Shipping decides: the parcel has not left, so everything is made up for, and no receipt is sent."""
    bus = SmallBus()
    scenario = next(each for each in ORDERS if each.name == "customer-cancels")
    async with everybody(tmp_path, bus) as services:
        await services.post("order", "/place-order", scenario.build("7").model_dump(mode="json"))
        await services.get("payment", "/test/gates/7")
        assert (await services.post("order", "/request-cancellation", {"order_id": "7"})).status_code == 202

        async def is_told() -> bool:
            return (await read_end_state(services, "7")).notices == CANCELLED_NOTICES

        await until(is_told)
        await services.post("payment", "/test/gates/7")
        await services.ends(scenario, "7")
    assert bus.dead == []


async def test_a_cancellation_after_the_parcel_has_left_changes_nothing(tmp_path: Path) -> None:
    """It is accepted, as nobody but shipping knows, and it comes too late."""
    bus, scenario = SmallBus(), ORDERS[0]
    async with everybody(tmp_path, bus) as services:
        await services.post("order", "/place-order", an_order()("7").model_dump(mode="json"))
        await services.ends(scenario, "7")
        await services.post("order", "/request-cancellation", {"order_id": "7"})
        await until(lambda: bus.is_quiet)
        await services.ends(scenario, "7")


async def test_a_service_refuses_a_bad_order_at_its_door(tmp_path: Path) -> None:
    """No saga begins, and the client learns the field and the rule (P19)."""
    bus = SmallBus()
    empty = an_order()("7").model_dump(mode="json") | {"lines": []}
    async with everybody(tmp_path, bus) as services:
        refused = await services.post("order", "/place-order", empty)
        assert (refused.status_code, refused.json()["code"]) == (422, "empty_order")
        unknown = await services.post("order", "/request-cancellation", {"order_id": "7"})
        assert (unknown.status_code, unknown.json()["code"]) == (409, "unknown_order")
    assert bus.published == []
    assert set(REACTIONS) == set(SERVICES)
