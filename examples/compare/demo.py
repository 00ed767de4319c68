"""Runs scenarios on real servers, tells their stories live, and checks how they ended."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle

from examples.compare.endings import Ending, ending_of
from examples.compare.scenarios import Scenario, Stage
from examples.compare.stack import Stack
from examples.compare.story import Story
from examples.order.messages import Order
from examples.order.saga import OrderSaga
from examples.payment.saga import PaymentSaga
from sagas import start_saga
from workers import load_settings

STATUS = {
    WorkflowExecutionStatus.COMPLETED: "completed",
    WorkflowExecutionStatus.FAILED: "compensated",
    WorkflowExecutionStatus.CANCELED: "cancelled",
}
PATIENCE = 60
"""Seconds in which a scenario has to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a scenario ended, and everything that should have been otherwise."""

    scenario: Scenario
    workflow_id: str
    status: str
    ending: Ending | None
    seconds: float
    complaints: tuple[str, ...]


async def show(scenarios: Sequence[Scenario], console: Console) -> int:
    """Runs the scenarios one after the other and returns the exit code: 0 if each ended as it must."""
    run = f"{datetime.now(UTC):%m%d-%H%M%S}-{secrets.token_hex(2)}"
    console.print("[bold]Starting[/] the services, the Temporal server and a worker …")
    async with Stack(load_settings(), task_queue=f"demo-{run}") as stack:
        outcomes: list[Outcome] = []
        for scenario in scenarios:
            if scenario.needs_own_server and stack.temporal is None:
                console.print(f"\n[dim]left out, as the Temporal server is not ours: {scenario.title}[/]")
                continue
            outcomes.append(await play(scenario, stack, f"{run}-{scenario.name}", console))
        _summarize(outcomes, stack, console)
    return 1 if any(outcome.complaints for outcome in outcomes) else 0


async def play(scenario: Scenario, stack: Stack, order_id: str, console: Console) -> Outcome:
    """Runs one scenario, telling its story, and checks its end in every service."""
    console.print(f"\n[bold cyan]{scenario.title}[/]")
    began = asyncio.get_running_loop().time()
    handle = await start(scenario, stack, order_id)

    def say(what: str) -> None:
        console.print(f"  [yellow]! {what}[/]")

    async def cancel() -> None:
        await handle.cancel()
        await _until_told(stack, f"{handle.id}/payment")

    async def tell() -> None:
        async for line in Story(stack.client).lines(handle.id):
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)

    try:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
            tasks.create_task(tell())
            if scenario.disturb is not None:
                stage = Stage(stack=stack, order_id=order_id, cancel=cancel, say=say)
                tasks.create_task(scenario.disturb(stage))
    except TimeoutError:
        status, ending = "running", None
        complaints = [f"it has not ended within {PATIENCE} s"]
    else:
        status = STATUS.get((await handle.describe()).status or WorkflowExecutionStatus.RUNNING, "lost")
        ending = await ending_of(stack, order_id)
        complaints = complain(scenario, status, ending)
    _conclude(status, await _why(handle, status), ending, complaints, console)
    seconds = asyncio.get_running_loop().time() - began
    return Outcome(
        scenario=scenario,
        workflow_id=handle.id,
        status=status,
        ending=ending,
        seconds=seconds,
        complaints=tuple(complaints),
    )


async def start(scenario: Scenario, stack: Stack, order_id: str) -> WorkflowHandle[object, object]:
    """Starts the saga of a scenario."""
    message = scenario.build(order_id)
    details = f"Demo: {scenario.title}."
    if isinstance(message, Order):
        return await start_saga(
            stack.client,
            OrderSaga.run,
            message,
            id=f"order-{order_id}",
            task_queue=stack.task_queue,
            summary=f"order of {message.customer.id}: {len(message.lines)} articles",
            details=details,
        )
    return await start_saga(
        stack.client,
        PaymentSaga.run,
        message,
        id=f"payment-{order_id}",
        task_queue=stack.task_queue,
        summary=f"payment of {message.amount} {message.currency} (minor units)",
        details=details,
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


async def _until_told(stack: Stack, workflow_id: str) -> None:
    """Returns when the cancel has reached a child."""
    child = stack.client.get_workflow_handle(workflow_id)
    async for event in child.fetch_history_events(wait_new_event=True):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
            return


async def _why(handle: WorkflowHandle[object, object], status: str) -> str:
    """Why a saga did not complete, as it says itself."""
    if status != "compensated":
        return ""
    try:
        await handle.result()
    except WorkflowFailureError as error:
        return f", because: {getattr(error.cause, 'message', error.cause)}"
    return ""


def _conclude(
    status: str, why: str, ending: Ending | None, complaints: Sequence[str], console: Console
) -> None:
    console.print(f"  → [bold]{status}[/]{escape(why)}", highlight=False, soft_wrap=True)
    if ending is not None:
        console.print(f"    [dim]{ending.summary}[/]", highlight=False, soft_wrap=True)
    for complaint in complaints:
        console.print(f"  [bold red]BROKEN PROMISE: {complaint}[/]", highlight=False)


def _summarize(outcomes: Sequence[Outcome], stack: Stack, console: Console) -> None:
    table = Table(title="What happened", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("scenario", "end", "effects", "paid", "ledger", "s", "promises"):
        table.add_column(column, justify="right" if column in {"effects", "paid", "ledger", "s"} else "left")
    for outcome in outcomes:
        ending = outcome.ending
        table.add_row(
            outcome.scenario.name,
            outcome.status,
            str(sum(map(len, ending.effects.values()))) if ending else "?",
            f"{(ending.captured - ending.refunded) / 100:.2f}" if ending else "?",
            str(ending.ledger) if ending else "?",
            f"{outcome.seconds:.1f}",
            "[red]BROKEN[/]" if outcome.complaints else "[green]kept[/]",
        )
    console.print()
    console.print(table)
    console.print("effects: how many are left in all services; ledger: the sum of all entries, always 0")
    if stack.ui_url:
        console.print(f"\nEvery saga in Temporal's Web UI:  {stack.ui_url}/namespaces/default/workflows")
        console.print("It is served while Temporal runs: type [bold]make dev[/] to look at them now.")
