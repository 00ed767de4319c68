"""Runs scenarios on real servers, in both styles, tells their stories live, and checks how they ended."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError

from examples.demo.database_timeline import Overheard
from examples.demo.history_timeline import Line, Story
from examples.order.scenarios import Scenario, Stage
from examples.stack.end_state import Ending, ending_of
from examples.stack.service_databases import Records
from examples.stack.stack import Stack
from examples.stack.styles import Choreographed, Orchestrated, Style, saga_id_of
from workers import load_settings

PATIENCE = 60
"""Seconds in which a scenario has to end."""
POLL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a scenario ended, and everything that should have been otherwise."""

    scenario: Scenario
    style: str
    saga_id: str
    status: str
    ending: Ending | None
    seconds: float
    complaints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Teller:
    """A style, and how its stories are told.

    Args:
        style: Begins and cancels sagas, and knows when they have ended.
        lines: What happens in a saga, as it happens; told the end by an event.
        until_cancel_is_known: Returns when it is certain that the shipment will not begin.
        why: The reason for which a saga was compensated, where the style knows one.
    """

    style: Style
    lines: Callable[[str, asyncio.Event], AsyncIterator[Line]]
    until_cancel_is_known: Callable[[str], Coroutine[None, None, None]]
    why: Callable[[str], Coroutine[None, None, str]]


async def show(scenarios: Sequence[Scenario], console: Console) -> int:
    """Runs the scenarios one after the other and returns the exit code: 0 if each ended as it must."""
    run = f"{datetime.now(UTC):%m%d-%H%M%S}-{secrets.token_hex(2)}"
    console.print("[bold]Starting[/] the services, Temporal, RabbitMQ and a worker …")
    async with Stack(load_settings(), task_queue=f"demo-{run}") as stack, httpx.AsyncClient() as http:
        with closing(Records(stack.databases)) as records:
            tellers = [orchestrated(stack)]
            if stack.broker is not None:
                tellers.append(choreographed(stack, records, http))
            else:
                console.print("[yellow]RabbitMQ is missing, so nothing is choreographed[/]: see `make help`")
            outcomes: list[Outcome] = []
            for scenario in scenarios:
                console.print(f"\n[bold cyan]{scenario.title}[/]")
                for teller in tellers:
                    if scenario.style in (None, teller.style.name) and _may_be_killed(scenario, stack):
                        order_id = f"{run}-{teller.style.name[:1]}-{scenario.name}"
                        outcomes.append(await play(scenario, teller, stack, order_id, console))
        _summarize(outcomes, stack, console)
    return 1 if any(outcome.complaints for outcome in outcomes) else 0


def orchestrated(stack: Stack) -> Teller:
    """Stories of workflows, from their histories."""
    story = Story(stack.client)

    async def until_cancel_is_known(saga_id: str) -> None:
        child = stack.client.get_workflow_handle(f"{saga_id}/payment")
        async for event in child.fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
                return

    async def why(saga_id: str) -> str:
        try:
            await stack.client.get_workflow_handle(saga_id).result()
        except WorkflowFailureError as error:
            return str(getattr(error.cause, "message", error.cause))
        return ""

    return Teller(
        style=Orchestrated(stack.client, stack.task_queue),
        lines=lambda saga_id, _: story.lines(saga_id),
        until_cancel_is_known=until_cancel_is_known,
        why=why,
    )


def choreographed(stack: Stack, records: Records, http: httpx.AsyncClient) -> Teller:
    """Stories that nobody leads, from the services' databases."""

    async def until_cancel_is_known(saga_id: str) -> None:
        # Shipping, which owns the pivot, has made it void before. No event from another process says so.
        while (await ending_of(stack, saga_id.removeprefix("order-"))).order != "cancelled":  # noqa: ASYNC110
            await asyncio.sleep(POLL)

    async def why(_: str) -> str:
        return ""

    return Teller(
        style=Choreographed(http, records, stack.urls),
        lines=Overheard(records).lines,
        until_cancel_is_known=until_cancel_is_known,
        why=why,
    )


async def play(scenario: Scenario, teller: Teller, stack: Stack, order_id: str, console: Console) -> Outcome:
    """Runs one scenario in one style, telling its story, and checks its end in every service."""
    console.print(f"  [bold]{teller.style.name}[/]")
    began = asyncio.get_running_loop().time()
    message, ended = scenario.build(order_id), asyncio.Event()
    saga_id = saga_id_of(message)

    def say(what: str) -> None:
        console.print(f"    [yellow]! {what}[/]")

    async def cancel() -> None:
        await teller.style.cancel(saga_id)
        await teller.until_cancel_is_known(saga_id)

    async def tell() -> None:
        async for line in teller.lines(saga_id, ended):
            console.print(f"    {line}", highlight=False, markup=False, soft_wrap=True)

    async def wait() -> str:
        status = await teller.style.until_ended(saga_id)
        ended.set()
        return status

    status, ending = "running", None
    try:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            await teller.style.place(message, about=f"Demo: {scenario.title}.")
            tasks.create_task(tell())
            waiting = tasks.create_task(wait())
            if scenario.disturb is not None:
                stage = Stage(stack=stack, order_id=order_id, cancel=cancel, say=say)
                tasks.create_task(scenario.disturb(stage))
    except TimeoutError:
        complaints = [f"it has not ended within {PATIENCE} s"]
    else:
        status, ending = waiting.result(), await ending_of(stack, order_id)
        complaints = complain(scenario, status, ending)
    why = await teller.why(saga_id) if status == "compensated" else ""
    _conclude(status, why, ending, complaints, console)
    return Outcome(
        scenario=scenario,
        style=teller.style.name,
        saga_id=saga_id,
        status=status,
        ending=ending,
        seconds=asyncio.get_running_loop().time() - began,
        complaints=tuple(complaints),
    )


def complain(scenario: Scenario, status: str, ending: Ending) -> list[str]:
    """Says what is not as it must be; nothing, if all promises were kept."""
    complaints: list[str] = []
    if status != scenario.ends:
        complaints.append(f"it is {status}, and should be {scenario.ends}")
    if ending.effects != scenario.effects:
        complaints.append(f"left in the services: {ending.effects}, expected: {dict(scenario.effects)}")
    if ending.told != tuple(sorted(scenario.told)):
        complaints.append(f"the customer was told {ending.told}, expected: {scenario.told}")
    complaints.extend(f"the books of {service} do not balance" for service in ending.broken)
    return complaints


def _may_be_killed(scenario: Scenario, stack: Stack) -> bool:
    """Whether the server that a scenario kills is ours."""
    servers = {"temporal-killed": stack.temporal, "broker-killed": stack.rabbit}
    return servers.get(scenario.name, stack) is not None


def _conclude(
    status: str, why: str, ending: Ending | None, complaints: Sequence[str], console: Console
) -> None:
    because = f", because: {why}" if why else ""
    console.print(f"    → [bold]{status}[/]{escape(because)}", highlight=False, soft_wrap=True)
    if ending is not None:
        console.print(f"      [dim]{ending.summary}[/]", highlight=False, soft_wrap=True)
    for complaint in complaints:
        console.print(f"    [bold red]BROKEN PROMISE: {escape(complaint)}[/]", highlight=False)


def _summarize(outcomes: Sequence[Outcome], stack: Stack, console: Console) -> None:
    table = Table(title="What happened", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("scenario", "style", "end", "effects", "paid", "ledger", "s", "promises"):
        is_number = column in {"effects", "paid", "ledger", "s"}
        table.add_column(column, justify="right" if is_number else "left", no_wrap=True)
    last = ""
    for outcome in outcomes:
        ending, name = outcome.ending, outcome.scenario.name
        table.add_row(
            "" if name == last else name.removeprefix("payment-"),
            outcome.style.removesuffix("ographed").removesuffix("estrated"),
            outcome.status,
            str(sum(map(len, ending.effects.values()))) if ending else "?",
            f"{(ending.captured - ending.refunded) / 100:.2f}" if ending else "?",
            str(ending.ledger) if ending else "?",
            f"{outcome.seconds:.1f}",
            "[red]BROKEN[/]" if outcome.complaints else "[green]kept[/]",
        )
        last = name
    console.print()
    console.print(table)
    console.print("effects: how many are left in all services; ledger: the sum of all entries, always 0")
    console.print("To compare what the styles cost:  make compare")
    if stack.ui_url:
        console.print("\nEvery orchestrated saga in Temporal's Web UI:")
        console.print(f"{stack.ui_url}/namespaces/default/workflows", soft_wrap=True)
        console.print("It is served while Temporal runs: type [bold]make dev[/] to look at them now.")
