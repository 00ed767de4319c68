"""The commands and the code of docs/operating.md, executed for sagas in the described states."""

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

from sagas import SagaPlugin, start_saga
from sagas._core.purpose import Purpose
from sagas._core.status import ENDED
from sagas.operator import HOLD, RESUME, RETRY, SKIP, OperatorRequest, SagaClient, Timeline, VerbRefusedError
from sagas.operator._saga_list import UNFINISHED
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
    """A worker of the shop, and orders in the states that the commands need."""

    harness: WorkerHarness
    warehouse: ShopParticipants = field(default_factory=ShopParticipants)
    orders: list[Handle] = field(default_factory=list)

    async def order(self, *, is_large: bool = False) -> Handle:
        """Starts an order."""
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
        """An order that waits for an approval."""
        order = await self.order(is_large=True)
        await self.harness.wait_for_event(order, TIMER)
        return order

    async def undecided_and_listed(self) -> Handle:
        """An order that waits for an approval, and is in the server's list."""
        return await self.listed(await self.undecided(), "ExecutionStatus = 'Running'")

    async def held(self) -> Handle:
        """A held order."""
        order = await self.undecided()
        await self.harness.send_update(order, HOLD, OperatorRequest(by="tom", because="let me look"))
        return order

    async def stuck(self) -> Handle:
        """An order with a rejected compensation; the next attempt would succeed."""
        self.warehouse.rejects["create-shipment"] = self.warehouse.rejects["release-stock"] = 1
        order = await self.order()
        await self.harness.wait_for_status(order, "stuck")
        return order

    async def in_doubt(self) -> Handle:
        """An order whose pivot is in doubt; the next attempt is an hour away."""
        self.warehouse.fails["create-shipment"] = 1
        order = await self.order()
        await self.harness.wait_for_status(order, "stuck")
        return order

    async def terminated(self) -> Handle:
        """A terminated order."""
        order = await self.undecided()
        await order.terminate(reason="by mistake")
        return order

    async def stuck_among_others(self) -> Handle:
        """A stuck order, after a running and a held one."""
        await self.listed(await self.undecided(), "ExecutionStatus = 'Running'")
        await self.listed(await self.held(), "SagaStatus = 'held'")
        return await self.listed(await self.stuck(), "SagaStatus = 'stuck'")

    async def terminated_after_another(self) -> Handle:
        """A terminated order, after a rescued one."""
        rescued = await self.listed(await self.terminated(), "ExecutionStatus = 'Terminated'")
        await SagaClient(self.harness.client).rescue(rescued.id, by="tom", because="x")
        rescue = self.harness.client.get_workflow_handle(f"{rescued.id}~rescue")
        await self.listed(rescue, "SagaStatus = 'compensated'")
        return await self.listed(await self.terminated(), "ExecutionStatus = 'Terminated'")

    async def listed(self, order: Handle, condition: str) -> Handle:
        """Waits until the server's list has an order with a condition; the list lags behind."""

        async def is_listed() -> bool:
            count = await self.harness.client.count_workflows(f"WorkflowId = '{order.id}' AND {condition}")
            return count.count == 1

        await until(is_listed)
        return order

    def story(self, order: Handle) -> list[str]:
        """The executed operations of an order."""
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
class ExecutedCommand:
    """A command of the page that was executed for an order."""

    shop: Shop
    order: Handle
    result: CommandResult

    async def ending(self) -> Ending:
        return await self.shop.harness.wait_for_ending(self.order)


Check = Callable[[ExecutedCommand], Awaitable[None]]


def listed(command: ExecutedCommand) -> list[tuple[str, str]]:
    """The ids and statuses of the listed sagas, in order."""
    _, *rows = re.findall(r"^ +(\S+)  +(\S.*?)  +", command.result.out, re.MULTILINE)
    return rows


async def lists_the_most_urgent_first(command: ExecutedCommand) -> None:
    ours = [order.id for order in command.shop.orders]
    rows = [(saga, status) for saga, status in listed(command) if saga in ours]
    running, held, stuck = ours
    assert rows == [(stuck, "STUCK"), (held, "HELD"), (running, "RUNNING")]


async def lists_stuck_orders(command: ExecutedCommand) -> None:
    assert (command.order.id, "STUCK") in listed(command)
    assert {status for _, status in listed(command)} == {"STUCK"}


async def lists_the_approval(command: ExecutedCommand) -> None:
    assert (command.order.id, "RUNNING") in listed(command)
    words = " ".join(command.result.out.split())
    assert f"sagas approve {command.order.id} large-order --role manager" in words


async def lists_terminated_orders(command: ExecutedCommand) -> None:
    rescued, order = command.shop.orders
    rows = listed(command)
    assert {(rescued.id, "TERMINATED, rescue COMPENSATED"), (order.id, "TERMINATED")} <= set(rows)
    assert all(status.startswith("TERMINATED") for _, status in rows)


async def shows_the_timeline(command: ExecutedCommand) -> None:
    assert command.result.out.startswith(f"{command.order.id}  OrderSaga  STUCK\n")


async def shows_json(command: ExecutedCommand) -> None:
    assert Timeline.model_validate_json(command.result.out).status == "stuck"


async def shows_a_chart(command: ExecutedCommand) -> None:
    assert command.result.out.startswith("flowchart TD\n")


async def previews(command: ExecutedCommand) -> None:
    assert command.result.out.startswith(f"{command.order.id}: 2 compensations would run, in this order.\n")


async def is_held(command: ExecutedCommand) -> None:
    assert command.result.out == f"{command.order.id} is held\n"
    # Only a held saga can be resumed.
    await command.shop.harness.send_update(command.order, RESUME, OperatorRequest(by="tom", because="x"))


async def is_running(command: ExecutedCommand) -> None:
    assert command.result.out == f"{command.order.id} is running\n"


async def is_compensated(command: ExecutedCommand) -> None:
    ending = await command.ending()
    assert (ending.closed, ending.saga) == ("FAILED", "compensated")
    assert command.shop.story(command.order)[-2:] == ["refund-card", "release-stock"]


async def is_completed(command: ExecutedCommand) -> None:
    ending = await command.ending()
    assert (ending.closed, command.shop.story(command.order)[-1]) == ("COMPLETED", "create-shipment")


async def is_not_approved(command: ExecutedCommand) -> None:
    assert (await command.ending()).code == "not_approved"
    await is_compensated(command)


async def is_settled(command: ExecutedCommand) -> None:
    ending = await command.ending()
    assert (ending.closed, ending.saga) == ("FAILED", "settled")
    assert command.shop.story(command.order)[-1] == "refund-card"


async def is_settled_with_a_parcel(command: ExecutedCommand) -> None:
    ending = await command.ending()
    assert (ending.closed, ending.saga, ending.result) == ("COMPLETED", "settled", Parcel(parcel_id="p-1"))
    assert "create-shipment" not in command.shop.story(command.order)


async def is_rescued(command: ExecutedCommand) -> None:
    (name,) = re.findall(r"a workflow `<saga>(.*?)`", PAGE)
    rescue = command.shop.harness.client.get_workflow_handle(f"{command.order.id}{name}")
    assert (await command.shop.harness.wait_for_ending(rescue)).saga == "compensated"
    assert command.shop.story(command.order)[-2:] == ["refund-card", "release-stock"]


EXPECTED: dict[str, tuple[Callable[[Shop], Awaitable[Handle]], Check]] = {
    "sagas list": (Shop.stuck_among_others, lists_the_most_urgent_first),
    "sagas list --status stuck": (Shop.stuck_among_others, lists_stuck_orders),
    "sagas list --status waiting": (Shop.undecided_and_listed, lists_the_approval),
    "sagas list --status terminated": (Shop.terminated_after_another, lists_terminated_orders),
    "sagas show order-7": (Shop.stuck, shows_the_timeline),
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
    "sagas rescue order-7 --terminate": (Shop.undecided, is_rescued),
}
"""For each command of the page, without its reason: the order to prepare, and the check afterwards."""


@pytest.mark.parametrize("line", COMMANDS)
async def test_each_command_of_the_page_works(shop: Shop, server: str, line: str) -> None:
    """The command runs word by word, with the id of a prepared order."""
    command, _, because = line.partition(" --because ")
    prepare, check = EXPECTED[command]
    order = await prepare(shop)
    arguments = [order.id if word == "order-7" else word for word in shlex.split(line)[1:]]

    # Long ids of other workflows on the server must not wrap the rows of a list.
    result = await sagas(server, *arguments, COLUMNS="300")
    assert (result.code, result.err) == (0, "")
    await check(ExecutedCommand(shop, order, result))

    if because:
        timeline = await SagaClient(shop.harness.client).show(order.id)
        trail = (timeline.rescue or timeline).audit_trail
        assert ("mia", shlex.split(because)[0]) in [(verb.by, verb.because) for verb in trail]


def test_every_operator_command_is_in_the_page() -> None:
    """Every command of the page has an expectation here."""
    assert sorted(line.partition(" --because ")[0] for line in COMMANDS) == sorted(EXPECTED)
    commands = get_command(app).commands.keys()  # type: ignore[attr-defined]  # `app` is a group
    assert {line.split()[1] for line in COMMANDS} == commands - {"dev", "histories", "new"}


def test_every_status_is_in_the_table_of_the_page() -> None:
    """The column *final* is right as well."""
    _, *rows = re.findall(r"^\| ([a-z, -]+) \| (\S+) \|", PAGE, re.MULTILINE)
    finals = {status: final for names, final in rows for status in names.split(", ")}

    assert finals.keys() == set(ListedStatus)
    assert {status for status, final in finals.items() if final == "yes"} == ENDED
    assert {status for status, final in finals.items() if final not in ("yes", "no")} == UNFINISHED.keys()


def test_every_kind_of_step_is_in_the_table_of_the_page() -> None:
    """Each purpose of an activity with a line of its own has a row, and so have the other kinds of lines."""
    marks = set(re.findall(r"^\| `\(([a-z-]+)\)` \|", PAGE, re.MULTILINE))

    in_other_lines = {Purpose.STEP, Purpose.COMPENSATION, Purpose.CONFIRMATION, Purpose.PROBE}
    assert marks == {*Purpose, "child", "independent", "read-only"} - in_other_lines


def in_page(code: str) -> CodeType:
    """Compiles an expression of the page that contains `await`."""
    compiled: CodeType = compile(code, "operating.md", "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return compiled


def normalized(text: str) -> str:
    """Replaces ids, times and durations."""
    for pattern, word in (
        (r"order-([78]|\w{8})\b", "the order"),
        (r"[\d-]{10} [\d:]{8}", "then"),
        (r"\+?[\d.]+ (ms|s)\b", "some"),
    ):
        text = re.sub(pattern, word, text)
    return re.sub(r" +", " ", text)


def documented(command: str) -> str:
    """The output of a command in the page."""
    (answer,) = re.findall(rf"```\n\$ {re.escape(command)}\n(.*?)```", PAGE, re.DOTALL)
    return normalized(answer)


async def test_output_of_show_equals_the_page(shop: Shop, server: str) -> None:
    """The saga was held, resumed, and has a rejected compensation."""
    shop.warehouse.rejects["create-shipment"] = shop.warehouse.rejects["release-stock"] = 1
    latch = shop.warehouse.latches["charge-card"] = asyncio.Event()
    order = await shop.order()
    await shop.harness.wait_for_event(order, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=3)
    held = await sagas(server, "hold", order.id, "--because", "the customer called")
    assert held.out == f"{order.id} is held\n"
    await sagas(server, "resume", order.id, "--by", "tom", "--because", "all is well")
    latch.set()
    await shop.harness.wait_for_status(order, "stuck")

    assert normalized((await sagas(server, "show", order.id)).out) == documented("sagas show order-7")


async def test_output_of_preview_equals_the_page(shop: Shop, server: str) -> None:
    """The saga waits for an approval."""
    order = await shop.undecided()

    assert normalized((await sagas(server, "preview", order.id)).out) == documented("sagas preview order-7")


async def test_output_of_preview_after_a_reset_equals_the_page(shop: Shop, server: str) -> None:
    """The new run does not know the later steps of the old run."""
    order = await shop.undecided()
    latch = shop.warehouse.latches["reserve-stock"] = asyncio.Event()
    anew = await reset(shop.harness.client, order.id, before="reserve-stock")
    await shop.harness.wait_for_event(anew, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)

    assert normalized((await sagas(server, "preview", order.id)).out) == documented("sagas preview order-8")
    latch.set()


async def test_audit_trail_is_where_the_page_says(shop: Shop, server: str) -> None:
    """JSON, Python and the current details have the executed verb, and no refused one."""
    order = await shop.held()
    refused = await sagas(server, "hold", order.id, "--because", "once more")
    assert (refused.code, refused.err.count("\n")) == (1, 1)

    as_json = json.loads((await sagas(server, "show", order.id, "--json")).out)
    (code,) = re.findall(r"in Python `(.*?)`", PAGE)
    names = {"operator": SagaClient(shop.harness.client)}
    in_python = await eval(in_page(code.replace("order-7", order.id)), names)

    assert [(v["verb"], v["by"], v["because"]) for v in as_json["audit_trail"]] == [
        (HOLD, "tom", "let me look")
    ]
    assert [(v.verb, v.by, v.because) for v in in_python] == [(HOLD, "tom", "let me look")]
    assert " hold by tom: let me look\n" in await shop.harness.current_details(order)


async def test_python_program_of_the_page_retries_stuck_sagas(
    shop: Shop, server: str, tmp_path: Path
) -> None:
    """The program finds the server by the environment."""
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
    assert [(verb.verb, verb.by) for verb in (await operator.show(order.id)).audit_trail] == [
        (RETRY, "night-watch")
    ]


async def test_query_of_the_page_finds_stuck_sagas(shop: Shop) -> None:
    """The Web UI sends the same query."""
    order = await shop.stuck()
    (query,) = re.findall(r"```\n(SagaStatus = .*?)\n```", PAGE)

    async def is_found() -> bool:
        return order.id in {each.id async for each in shop.harness.client.list_workflows(query)}

    # The server's list lags behind by an unknown time.
    await until(is_found)


async def test_permissions_of_the_page_are_checked(client: Client, server: str, tmp_path: Path) -> None:
    """The message in the page is the message of the command."""
    with imported_guide("operating.md", tmp_path) as modules:
        plugin = modules["rights"].plugin
    shop = Shop(WorkerHarness(client, cache=0))
    client_of_worker = await Client.connect(server, plugins=[plugin])
    async with Worker(
        client_of_worker,
        task_queue=shop.harness.task_queue,
        workflows=[OrderSaga],
        activities=shop.warehouse.activities(),
    ):
        order = await shop.undecided()
        operator = SagaClient(client)
        with pytest.raises(VerbRefusedError, match="kim needs the role 'support'"):
            await operator.hold(order.id, by="kim", because="x")
        assert await operator.hold(order.id, by="mia", because="x") == "held"
        assert await operator.resume(order.id, by="tom", because="x") == "running"
        with pytest.raises(VerbRefusedError, match="takes the role 'manager'"):
            await operator.approve(order.id, "large-order", by="tom", because="x")
        manager = frozenset({"manager"})
        with pytest.raises(VerbRefusedError, match="mia needs the role 'manager'"):
            await operator.approve(order.id, "large-order", by="mia", because="x", roles=manager)
        await operator.approve(order.id, "large-order", by="tom", because="x", roles=manager)
        assert (await shop.harness.wait_for_ending(order)).closed == "COMPLETED"

        stuck = await shop.stuck()
        refused = await sagas(server, "skip", stuck.id, "reserve-stock", "--because", "x")
        (quoted,) = re.findall(r"`('skip' was refused for\s[^`]*)`", PAGE)
        assert normalized(refused.err) == normalized(f"error: {' '.join(quoted.split())}\n")
        assert await shop.harness.send_update(stuck, RETRY, OperatorRequest(by="mia", because="x")) == "stuck"
        assert (await shop.harness.wait_for_ending(stuck)).saga == "compensated"
    assert SKIP in modules["rights"].FOR_MANAGERS
