"""docs/operating.md, done for real: its commands and its code, on sagas that stand as the page says."""

import ast
import asyncio
import json
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.worker import Replayer, Worker
from typer.main import get_command

from sagas import (
    HOLD,
    RESUME,
    RETRY,
    SKIP,
    OperatorNote,
    SagaClient,
    SagaPlugin,
    Timeline,
    VerbRefusedError,
    start_saga,
)
from sagas._core.purpose import Purpose
from sagas._core.status import ENDED
from sagas.operator._search import CUT_OFF
from tests.guide_code import DOCS, guide_modules, imported_guide
from tests.waiting import until
from workers._cli.main import app
from workers._cli.operator_commands import ListedStatus

from ..fixtures.sagas_command import CommandResult, sagas
from ..fixtures.shop_saga import Order, OrderSaga, Parcel, ShopParticipants
from ..fixtures.worker_harness import PATIENCE, Ending, Handle, WorkerHarness
from ..operator.test_reset import reset

PAGE = (DOCS / "operating.md").read_text()
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```\n(sagas .*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
TIMER = EventType.EVENT_TYPE_TIMER_STARTED


@dataclass
class Shop:
    """A worker of the shop, and orders that are brought where a command makes sense."""

    harness: WorkerHarness
    warehouse: ShopParticipants = field(default_factory=ShopParticipants)
    orders: list[Handle] = field(default_factory=list)

    async def order(self, *, is_large: bool = False) -> Handle:
        """Starts one."""
        order = Order(id=uuid4().hex[:8], is_large=is_large)
        handle = await start_saga(
            self.harness.client,
            OrderSaga.run,
            order,
            id=f"order-{order.id}",
            task_queue=self.harness.task_queue,
        )
        self.orders.append(handle)
        return handle

    async def undecided(self) -> Handle:
        """One that waits for a decision."""
        order = await self.order(is_large=True)
        await self.harness.wait_for_event(order, TIMER)
        return order

    async def held(self) -> Handle:
        """One that an operator has told to wait."""
        order = await self.undecided()
        await self.harness.send_update(order, HOLD, OperatorNote(by="tom", because="let me look"))
        return order

    async def stuck(self) -> Handle:
        """One that cannot be made up for; the next try would succeed."""
        self.warehouse.rejects["create-shipment"] = self.warehouse.rejects["release-stock"] = 1
        order = await self.order()
        await self.harness.wait_for_status(order, "stuck")
        return order

    async def in_doubt(self) -> Handle:
        """One of whose pivot nobody knows whether it happened; it is tried again in an hour."""
        self.warehouse.fails["create-shipment"] = 1
        order = await self.order()
        await self.harness.wait_for_status(order, "stuck")
        return order

    async def terminated(self) -> Handle:
        """One that was cut off."""
        order = await self.undecided()
        await order.terminate(reason="by mistake")
        return order

    async def stuck_among_others(self) -> Handle:
        """One that is stuck, after one that is running and one that is held."""
        await self.known(await self.undecided(), "ExecutionStatus = 'Running'")
        await self.known(await self.held(), "SagaStatus = 'held'")
        return await self.known(await self.stuck(), "SagaStatus = 'stuck'")

    async def terminated_after_another(self) -> Handle:
        """One that was cut off, after one that was rescued."""
        rescued = await self.known(await self.terminated(), "ExecutionStatus = 'Terminated'")
        await SagaClient(self.harness.client).rescue(rescued.id, by="tom", because="x")
        rescue = self.harness.client.get_workflow_handle(f"{rescued.id}~rescue")
        await self.known(rescue, "SagaStatus = 'compensated'")
        return await self.known(await self.terminated(), "ExecutionStatus = 'Terminated'")

    async def known(self, order: Handle, what: str) -> Handle:
        """Waits until the server lists it so, which it does a moment later, and tells nobody when."""

        async def is_known() -> bool:
            found = await self.harness.client.count_workflows(f"WorkflowId = '{order.id}' AND {what}")
            return found.count == 1

        await until(is_known)
        return order

    def story(self, order: Handle) -> list[str]:
        """What was done for an order, by its participants."""
        return [name for name, about in self.warehouse.done if f"order-{about}" == order.id]


@pytest.fixture
async def shop(client: Client) -> AsyncIterator[Shop]:
    harness = WorkerHarness(client, cache=0)
    shop = Shop(harness)
    async with Worker(
        client,
        task_queue=harness.task_queue,
        workflows=[OrderSaga],
        activities=shop.warehouse.activities(),
        max_cached_workflows=0,
    ):
        yield shop
    harness.workflow_ids = [order.id for order in shop.orders]
    await harness.terminate_open()
    replayer = Replayer(workflows=[OrderSaga], plugins=[SagaPlugin()])
    for order in shop.orders:
        await replayer.replay_workflow(await order.fetch_history())


@dataclass(frozen=True)
class UnawaitedCalls:
    """A command of the page that was carried out for an order of the shop."""

    shop: Shop
    order: Handle
    ended: CommandResult

    async def ending(self) -> Ending:
        return await self.shop.harness.wait_for_ending(self.order)


Check = Callable[[UnawaitedCalls], Awaitable[None]]


def listed(asked: UnawaitedCalls) -> list[tuple[str, str]]:
    """Who is listed, and as what, from the first to the last."""
    _, *rows = re.findall(r"^ +(\S+)  +(\S.*?)  +", asked.ended.out, re.MULTILINE)
    return rows


async def lists_first_who_needs_a_person(asked: UnawaitedCalls) -> None:
    ours = [order.id for order in asked.shop.orders]
    rows = [(saga, status) for saga, status in listed(asked) if saga in ours]
    running, held, stuck = ours
    assert rows == [(stuck, "STUCK"), (held, "HELD"), (running, "RUNNING")]


async def lists_who_is_stuck(asked: UnawaitedCalls) -> None:
    assert (asked.order.id, "STUCK") in listed(asked)
    assert {status for _, status in listed(asked)} == {"STUCK"}


async def lists_it_as_terminated(asked: UnawaitedCalls) -> None:
    rescued, order = asked.shop.orders
    rows = listed(asked)
    assert {(rescued.id, "TERMINATED, rescue COMPENSATED"), (order.id, "TERMINATED")} <= set(rows)
    assert all(status.startswith("TERMINATED") for _, status in rows)


async def shows_its_story(asked: UnawaitedCalls) -> None:
    assert asked.ended.out.startswith(f"{asked.order.id}  OrderSaga  STUCK\n")


async def shows_json(asked: UnawaitedCalls) -> None:
    assert Timeline.model_validate_json(asked.ended.out).status == "stuck"


async def shows_a_chart(asked: UnawaitedCalls) -> None:
    assert asked.ended.out.startswith("flowchart TD\n")


async def previews(asked: UnawaitedCalls) -> None:
    assert asked.ended.out.startswith(f"{asked.order.id}: 2 compensations would run, in this order.\n")


async def is_held(asked: UnawaitedCalls) -> None:
    assert asked.ended.out == f"{asked.order.id} is held\n"
    # Only one that is held can be resumed.
    await asked.shop.harness.send_update(asked.order, RESUME, OperatorNote(by="tom", because="x"))


async def is_running(asked: UnawaitedCalls) -> None:
    assert asked.ended.out == f"{asked.order.id} is running\n"


async def is_compensated(asked: UnawaitedCalls) -> None:
    ending = await asked.ending()
    assert (ending.closed, ending.saga) == ("FAILED", "compensated")
    assert asked.shop.story(asked.order)[-2:] == ["refund-card", "release-stock"]


async def is_completed(asked: UnawaitedCalls) -> None:
    ending = await asked.ending()
    assert (ending.closed, asked.shop.story(asked.order)[-1]) == ("COMPLETED", "create-shipment")


async def is_not_approved(asked: UnawaitedCalls) -> None:
    assert (await asked.ending()).code == "not_approved"
    await is_compensated(asked)


async def is_settled(asked: UnawaitedCalls) -> None:
    ending = await asked.ending()
    assert (ending.closed, ending.saga) == ("FAILED", "settled")
    assert asked.shop.story(asked.order)[-1] == "refund-card"


async def is_settled_with_a_parcel(asked: UnawaitedCalls) -> None:
    ending = await asked.ending()
    assert (ending.closed, ending.saga, ending.result) == ("COMPLETED", "settled", Parcel(parcel_id="p-1"))
    assert "create-shipment" not in asked.shop.story(asked.order)


async def is_rescued(asked: UnawaitedCalls) -> None:
    (name,) = re.findall(r"a workflow `<saga>(.*?)`", PAGE)
    rescue = asked.shop.harness.client.get_workflow_handle(f"{asked.order.id}{name}")
    assert (await asked.shop.harness.wait_for_ending(rescue)).saga == "compensated"
    assert asked.shop.story(asked.order)[-2:] == ["refund-card", "release-stock"]


MEANT: dict[str, tuple[Callable[[Shop], Awaitable[Handle]], Check]] = {
    "sagas list": (Shop.stuck_among_others, lists_first_who_needs_a_person),
    "sagas list --status stuck": (Shop.stuck_among_others, lists_who_is_stuck),
    "sagas list --status terminated": (Shop.terminated_after_another, lists_it_as_terminated),
    "sagas show order-7": (Shop.stuck, shows_its_story),
    "sagas show order-7 --format json": (Shop.stuck, shows_json),
    "sagas show order-7 --format mermaid": (Shop.stuck, shows_a_chart),
    "sagas preview order-7": (Shop.undecided, previews),
    "sagas hold order-7": (Shop.undecided, is_held),
    "sagas resume order-7": (Shop.held, is_running),
    "sagas compensate order-7": (Shop.undecided, is_compensated),
    "sagas approve order-7 large-order --role manager": (Shop.undecided, is_completed),
    "sagas approve order-7 large-order --role manager --no": (Shop.undecided, is_not_approved),
    "sagas retry order-7": (Shop.stuck, is_compensated),
    "sagas skip order-7 reserve-stock": (Shop.stuck, is_settled),
    "sagas complete order-7 reserve-stock": (Shop.stuck, is_settled),
    'sagas complete order-7 create-shipment --result \'{"parcel_id": "p-1"}\'': (
        Shop.in_doubt,
        is_settled_with_a_parcel,
    ),
    "sagas rescue order-7": (Shop.terminated, is_rescued),
}
"""What each command of the page, but for its reason, is asked of, and what then is so."""


@pytest.mark.parametrize("line", COMMANDS)
async def test_each_command_of_the_page_does_what_the_page_says(shop: Shop, server: str, line: str) -> None:
    """Word by word, with the id of an order that stands where the command makes sense."""
    words, _, because = line.partition(" --because ")
    bring, check = MEANT[words]
    order = await bring(shop)
    arguments = [order.id if word == "order-7" else word for word in shlex.split(line)[1:]]

    ended = await sagas(server, *arguments)
    assert (ended.code, ended.err) == (0, "")
    await check(UnawaitedCalls(shop, order, ended))

    if because:
        story = await SagaClient(shop.harness.client).show(order.id)
        trail = (story.rescue or story).verbs
        assert ("mia", shlex.split(because)[0]) in [(verb.by, verb.because) for verb in trail]


def test_no_command_is_left_out() -> None:
    """What is meant here stands on the page, and every command that there is for operators."""
    assert sorted(line.partition(" --because ")[0] for line in COMMANDS) == sorted(MEANT)
    commands = get_command(app).commands.keys()  # type: ignore[attr-defined]  # it is a group
    assert {line.split()[1] for line in COMMANDS} == commands - {"dev", "histories"}


def test_every_status_stands_in_the_table_of_the_page() -> None:
    """Those of a saga, and those of a workflow that was cut off; final are those that a saga ends with."""
    _, *rows = re.findall(r"^\| ([a-z, -]+) \| (\S+) \|", PAGE, re.MULTILINE)
    finals = {status: final for names, final in rows for status in names.split(", ")}

    assert finals.keys() == set(ListedStatus)
    assert {status for status, final in finals.items() if final == "yes"} == ENDED
    assert {status for status, final in finals.items() if final not in ("yes", "no")} == CUT_OFF.keys()


def test_every_mark_of_a_step_stands_in_the_table_of_the_page() -> None:
    """What an activity is for, where `show` has a line for it that is no plain step; and a child."""
    marks = set(re.findall(r"^\| `\(([a-z-]+)\)` \|", PAGE, re.MULTILINE))

    assert marks == {*Purpose, "child"} - {Purpose.STEP, Purpose.COMPENSATION, Purpose.PROBE}


def in_page(code: str) -> CodeType:
    """An expression of the page that awaits, as it stands there."""
    compiled: CodeType = compile(code, "operating.md", "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return compiled


def normal(text: str) -> str:
    """What is different each time taken out."""
    for pattern, word in (
        (r"order-([78]|\w{8})\b", "the order"),
        (r"[\d-]{10} [\d:]{8}", "then"),
        (r"\+?[\d.]+ (ms|s)\b", "some"),
    ):
        text = re.sub(pattern, word, text)
    return re.sub(r" +", " ", text)


def shown(command: str) -> str:
    """What the page says that a command answers."""
    (answer,) = re.findall(rf"```\n\$ {re.escape(command)}\n(.*?)```", PAGE, re.DOTALL)
    return normal(answer)


async def test_what_show_says_is_what_the_page_shows(shop: Shop, server: str) -> None:
    """A saga that was held, resumed, and could not be made up for."""
    shop.warehouse.rejects["create-shipment"] = shop.warehouse.rejects["release-stock"] = 1
    latch = shop.warehouse.latches["charge-card"] = asyncio.Event()
    order = await shop.order()
    await shop.harness.wait_for_event(order, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=3)
    held = await sagas(server, "hold", order.id, "--because", "the customer called")
    assert held.out == f"{order.id} is held\n"
    await sagas(server, "resume", order.id, "--by", "tom", "--because", "all is well")
    latch.set()
    await shop.harness.wait_for_status(order, "stuck")

    assert normal((await sagas(server, "show", order.id)).out) == shown("sagas show order-7")


async def test_what_preview_says_is_what_the_page_shows(shop: Shop, server: str) -> None:
    """A saga that waits for a decision."""
    order = await shop.undecided()

    assert normal((await sagas(server, "preview", order.id)).out) == shown("sagas preview order-7")


async def test_what_preview_says_after_a_reset_is_what_the_page_shows(shop: Shop, server: str) -> None:
    """What the old run did beyond the reset point, the new one does not know of."""
    order = await shop.undecided()
    latch = shop.warehouse.latches["reserve-stock"] = asyncio.Event()
    anew = await reset(shop.harness.client, order.id, before="reserve-stock")
    await shop.harness.wait_for_event(anew, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)

    assert normal((await sagas(server, "preview", order.id)).out) == shown("sagas preview order-8")
    latch.set()


async def test_the_audit_trail_stands_where_the_page_says(shop: Shop, server: str) -> None:
    """In JSON, in Python and in the Web UI's details; a verb that was refused stands nowhere."""
    order = await shop.held()
    refused = await sagas(server, "hold", order.id, "--because", "once more")
    assert (refused.code, refused.err.count("\n")) == (1, 1)

    as_json = json.loads((await sagas(server, "show", order.id, "--json")).out)
    (code,) = re.findall(r"in Python `(.*?)`", PAGE)
    names = {"operator": SagaClient(shop.harness.client)}
    in_python = await eval(in_page(code.replace("order-7", order.id)), names)

    assert [(v["verb"], v["by"], v["because"]) for v in as_json["verbs"]] == [(HOLD, "tom", "let me look")]
    assert [(v.verb, v.by, v.because) for v in in_python] == [(HOLD, "tom", "let me look")]
    assert " hold by tom: let me look\n" in await shop.harness.current_details(order)


async def test_the_python_of_the_page_retries_what_is_stuck(shop: Shop, server: str, tmp_path: Path) -> None:
    """A program as it stands there, which finds the server by the environment."""
    order = await shop.stuck()
    operator = SagaClient(shop.harness.client)

    async def is_listed() -> bool:
        found = await operator.list(status="stuck", query="WorkflowType = 'OrderSaga'")
        return order.id in {saga.id for saga in found}

    await until(is_listed)
    program = tmp_path / "night_watch.py"
    program.write_text(guide_modules("operating.md")["night_watch"])

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        program,
        env={**os.environ, "TEMPORAL_ADDRESS": server, "PYTHONPATH": str(DOCS.parent)},
    )
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0

    assert (await shop.harness.wait_for_ending(order)).saga == "compensated"
    assert [(verb.verb, verb.by) for verb in (await operator.show(order.id)).verbs] == [
        (RETRY, "night-watch")
    ]


async def test_the_query_of_the_page_finds_what_is_stuck(shop: Shop) -> None:
    """As the Web UI sends it."""
    order = await shop.stuck()
    (query,) = re.findall(r"```\n(SagaStatus = .*?)\n```", PAGE)

    async def is_found() -> bool:
        return order.id in {each.id async for each in shop.harness.client.list_workflows(query)}

    # The server's list follows a moment later, and nobody is told when.
    await until(is_found)


async def test_the_rights_of_the_page_decide_who_may_do_what(
    client: Client, server: str, tmp_path: Path
) -> None:
    """And the sentence that it quotes is the one that the operator reads."""
    with imported_guide("operating.md", tmp_path) as modules:
        plugin = modules["rights"].plugin
    shop = Shop(WorkerHarness(client, cache=0))
    worked_for = await Client.connect(server, plugins=[plugin])
    async with Worker(
        worked_for,
        task_queue=shop.harness.task_queue,
        workflows=[OrderSaga],
        activities=shop.warehouse.activities(),
    ):
        order = await shop.undecided()
        operator = SagaClient(client)
        with pytest.raises(VerbRefusedError, match="kim is no support"):
            await operator.hold(order.id, by="kim", because="x")
        assert await operator.hold(order.id, by="mia", because="x") == "held"
        assert await operator.resume(order.id, by="tom", because="x") == "running"
        with pytest.raises(VerbRefusedError, match="takes the role 'manager'"):
            await operator.approve(order.id, "large-order", by="tom", because="x")
        manager = frozenset({"manager"})
        with pytest.raises(VerbRefusedError, match="mia is no manager"):
            await operator.approve(order.id, "large-order", by="mia", because="x", roles=manager)
        await operator.approve(order.id, "large-order", by="tom", because="x", roles=manager)
        assert (await shop.harness.wait_for_ending(order)).closed == "COMPLETED"

        stuck = await shop.stuck()
        refused = await sagas(server, "skip", stuck.id, "reserve-stock", "--because", "x")
        (quoted,) = re.findall(r"`(saga 'order-7'\s[^`]*no manager)`", PAGE)
        assert normal(refused.err) == normal(f"error: {' '.join(quoted.split())}\n")
        assert await shop.harness.send_update(stuck, RETRY, OperatorNote(by="mia", because="x")) == "stuck"
        assert (await shop.harness.wait_for_ending(stuck)).saga == "compensated"
    assert SKIP in modules["rights"].FOR_MANAGERS
