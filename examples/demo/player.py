"""Plays a scenario in a style: starts the saga, prints the timeline, and checks the end state."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from examples.stack.end_state import EndState, read_end_state
from examples.stack.service_databases import ServiceDatabases
from examples.stack.stack import Stack
from examples.stack.styles import Choreographed, Orchestrated, Style

from .database_timeline import DatabaseTimeline
from .history_timeline import HistoryTimeline
from .scenario import RunningScenario, Scenario
from .timeline import Timeline

TIMEOUT_SECONDS = 60
"""How long a scenario may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedStyle:
    """A style with timelines."""

    style: Style
    timeline: Timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioResult:
    """The end of a scenario.

    Args:
        scenario: The scenario.
        style: The name of the style.
        saga_id: The id of the saga.
        status: `completed`, `compensated`, `cancelled`, or `running` after a timeout.
        end_state: The state of all services; `None` after a timeout.
        seconds: The duration.
        violations: Every difference from the expected end; empty if the saga ended as expected.
    """

    scenario: Scenario
    style: str
    saga_id: str
    status: str
    end_state: EndState | None
    seconds: float
    violations: tuple[str, ...]


def orchestrated(stack: Stack) -> ObservedStyle:
    """Sagas as workflows, with timelines from the histories."""
    return ObservedStyle(
        style=Orchestrated(stack.client, stack.task_queue, stack.deployment),
        timeline=HistoryTimeline(stack.client),
    )


def choreographed(stack: Stack, databases: ServiceDatabases, http: httpx.AsyncClient) -> ObservedStyle:
    """Sagas as events, with timelines from the databases of the services."""
    return ObservedStyle(
        style=Choreographed(http, databases, stack.urls, stack.deployment),
        timeline=DatabaseTimeline(databases),
    )


async def play(
    scenario: Scenario, observed: ObservedStyle, stack: Stack, order_id: str, console: Console
) -> ScenarioResult:
    """Plays a scenario in a style, prints the timeline, and checks the end state in every service."""
    console.print(f"  [bold]{observed.style.name}[/]")
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    message = scenario.build(order_id)
    saga_id = stack.deployment.saga_type_of(message).saga_id(message)
    running = RunningScenario(
        stack=stack,
        style=observed.style.name,
        saga_id=saga_id,
        order_id=order_id,
        cancel=lambda: observed.style.cancel(saga_id),
        announce=lambda text: _print(console, 4, f"[yellow]! {text}[/]"),
    )
    status, end_state = "running", None
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            status = await _run(scenario, observed, message, running, console)
    except TimeoutError:
        violations = [f"the saga has not ended within {TIMEOUT_SECONDS} s"]
    else:
        end_state = await read_end_state(stack, order_id)
        violations = find_violations(scenario, status, end_state)
    reason = await observed.timeline.failure_reason(saga_id) if status == "compensated" else ""
    _print_end(status, reason, end_state, violations, console)
    return ScenarioResult(
        scenario=scenario,
        style=observed.style.name,
        saga_id=saga_id,
        status=status,
        end_state=end_state,
        seconds=loop.time() - started_at,
        violations=tuple(violations),
    )


def find_violations(scenario: Scenario, status: str, end_state: EndState) -> list[str]:
    """Returns every difference between the end of a saga and the expectation; empty if there is none."""
    violations: list[str] = []
    if status != scenario.status:
        violations.append(f"the saga is {status}; expected: {scenario.status}")
    if end_state.effects != scenario.effects:
        violations.append(f"effects: {end_state.effects}; expected: {dict(scenario.effects)}")
    if end_state.notices != tuple(sorted(scenario.notices)):
        violations.append(f"notices: {end_state.notices}; expected: {scenario.notices}")
    violations.extend(f"the books of {service} do not balance" for service in end_state.unbalanced)
    return violations


async def _run(
    scenario: Scenario,
    observed: ObservedStyle,
    message: BaseModel,
    running: RunningScenario,
    console: Console,
) -> str:
    """Runs the saga and returns the final status; prints the timeline meanwhile."""
    ended = asyncio.Event()

    async def print_timeline() -> None:
        async for entry in observed.timeline.entries(running.saga_id, ended):
            _print(console, 4, escape(str(entry)))

    async def wait_until_ended() -> str:
        status = await observed.style.wait_until_ended(running.saga_id)
        ended.set()
        return status

    async with asyncio.TaskGroup() as tasks:
        await observed.style.start(message, details=f"Demo: {scenario.title}.")
        tasks.create_task(print_timeline())
        waiting = tasks.create_task(wait_until_ended())
        if scenario.disturb is not None:
            tasks.create_task(scenario.disturb(running))
    return waiting.result()


def _print_end(
    status: str, reason: str, end_state: EndState | None, violations: Sequence[str], console: Console
) -> None:
    because = f": {reason}" if reason else ""
    _print(console, 4, f"→ [bold]{status}[/]{escape(because)}")
    if end_state is not None:
        _print(console, 6, f"[dim]{end_state.summary}[/]")
    for violation in violations:
        _print(console, 4, f"[bold red]VIOLATION: {escape(violation)}[/]")


def _print(console: Console, indent: int, markup: str) -> None:
    """Prints an indented line; a long line is wrapped between words."""
    for line in Text.from_markup(markup).wrap(console, console.width - indent):
        line.rstrip()
        line.pad_left(indent)
        console.print(line)
