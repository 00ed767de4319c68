"""Compares the styles: runs the same orders in each style on one stack, and collects the figures."""

import asyncio
import secrets
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.progress import Progress

from examples.compare.measurement.coupling import dependencies_of, integration_files_of, status_sources_of
from examples.compare.measurement.durations import latency_of, throughput_of
from examples.compare.measurement.figures import Comparison, Percentiles, StyleFigures
from examples.compare.measurement.history_counts import HISTORY_EVENTS, HTTP_REQUESTS, count_histories
from examples.compare.measurement.invariants import check_invariants, classify_end, find_differences
from examples.compare.measurement.load import (
    OUTBOX_EVENTS,
    Load,
    PlacedOrder,
    run_orders,
    wait_until_drained,
)
from examples.compare.measurement.order_plan import UNDISTURBED, PlannedOrder, plan_orders
from examples.compare.measurement.recovery import KILLS, measure_recovery
from examples.compare.measurement.resources import measure_idle_cpu, processes_of, take_reading
from examples.compare.measurement.run import Run, per_saga
from examples.order.deployment import DEPLOYMENT
from examples.stack.end_state import EndState, read_end_state
from examples.stack.service_databases import ServiceDatabases
from examples.stack.stack import Stack
from examples.stack.styles import Choreographed, Orchestrated, Style
from workers import Settings, find_rabbitmq_program

WARM_UP_ORDERS = 10
"""Orders of each style before the measurement: processes import, connect and compile at their first use."""
CLIENT_TIMEOUT_SECONDS = 60.0
"""How long a service may take to accept an order; under load, requests wait in a queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """A comparison in progress.

    Args:
        stack: The processes.
        databases: The databases of the services.
        load: The orders.
        tag: The beginning of all order ids: comparisons may share a stack.
        progress: Shows the number of ended orders.
    """

    stack: Stack
    databases: ServiceDatabases
    load: Load
    tag: str
    progress: Progress


async def compare(settings: Settings, load: Load, progress: Progress) -> Comparison:
    """Compares the styles on new servers and databases in a temporary folder."""
    settings.data_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="compare-", dir=settings.data_folder.absolute()) as folder:
        own = settings.model_copy(update={"data_folder": Path(folder)})
        async with Stack(own, DEPLOYMENT, task_queue=f"compare-{secrets.token_hex(4)}") as stack:
            return await compare_on(stack, load, progress)


async def compare_on(stack: Stack, load: Load, progress: Progress) -> Comparison:
    """Compares the styles on a running stack of the order deployment.

    Raises:
        MissingProgramError: The stack has no broker, because RabbitMQ is not installed.
    """
    if stack.broker is None:
        find_rabbitmq_program()
    limits = httpx.Limits(max_connections=load.concurrency, max_keepalive_connections=load.concurrency)
    async with httpx.AsyncClient(trust_env=False, timeout=CLIENT_TIMEOUT_SECONDS, limits=limits) as http:
        with closing(ServiceDatabases(stack.deployment.services, stack.databases)) as databases:
            styles: tuple[Style, ...] = (
                Orchestrated(stack.client, stack.task_queue, stack.deployment),
                Choreographed(http, databases, stack.urls, stack.deployment),
            )
            comparing = Comparing(
                stack=stack, databases=databases, load=load, tag=secrets.token_hex(3), progress=progress
            )
            runs = {each.name: await _run_style(each, comparing) for each in styles}
            recoveries = {
                each.name: await measure_recovery(
                    each, stack, databases, order_id=f"{comparing.tag}-{each.name}-recovery"
                )
                for each in styles
            }
            databases.refresh()
            return await _collect(comparing, runs, recoveries)


async def _run_style(style: Style, comparing: Comparing) -> Run:
    stack, databases, load = comparing.stack, comparing.databases, comparing.load
    groups = processes_of(stack, style.name)
    task = comparing.progress.add_task(style.name, total=len(load.planned))
    prefix = f"{comparing.tag}-{style.name}"
    warm_up = Load(
        planned=plan_orders(WARM_UP_ORDERS, seed=load.seed), concurrency=load.concurrency, seed=load.seed
    )
    await run_orders(style, warm_up, prefix=f"{prefix}-warm-up-", advance=lambda: None)
    await wait_until_drained(databases)
    # One order at a time: the latency of the style alone, without waiting in queues.
    quiet = Load(planned=_undisturbed(load.alone), concurrency=1, seed=load.seed)
    alone = await run_orders(style, quiet, prefix=f"{prefix}-alone-", advance=lambda: None)
    await wait_until_drained(databases)
    idle = await measure_idle_cpu(groups, seconds=load.idle_seconds)
    before = await take_reading(stack, databases)
    placed = await run_orders(
        style, load, prefix=f"{prefix}-", advance=lambda: comparing.progress.advance(task)
    )
    after = await take_reading(stack, databases)
    return Run(
        style=style.name,
        load=load,
        names=tuple(groups),
        placed=placed,
        before=before,
        after=after,
        idle=idle,
        alone=alone,
    )


def _undisturbed(count: int) -> tuple[PlannedOrder, ...]:
    return tuple(PlannedOrder(name=f"{n}", kind=UNDISTURBED) for n in range(count))


async def _collect(
    comparing: Comparing, runs: Mapping[str, Run], recoveries: Mapping[str, float]
) -> Comparison:
    databases = comparing.databases
    end_states = {name: await _end_states(databases, run.placed) for name, run in runs.items()}
    styles = {
        name: await _figures(comparing, run, end_states[name], recoveries[name]) for name, run in runs.items()
    }
    placed = [each for run in runs.values() for each in run.placed]
    return Comparison(
        identical_end_states=not find_differences(end_states),
        styles=styles,
        invariants=tuple(check_invariants(end_states, placed, databases.count(OUTBOX_EVENTS))),
    )


async def _end_states(databases: ServiceDatabases, placed: Sequence[PlacedOrder]) -> dict[str, EndState]:
    found = await asyncio.gather(*(read_end_state(databases, each.order_id) for each in placed))
    return {each.planned.name: state for each, state in zip(placed, found, strict=True)}


async def _figures(
    comparing: Comparing, run: Run, end_states: Mapping[str, EndState], recovery_s: float
) -> StyleFigures:
    databases = comparing.databases
    latency, samples = latency_of(run.placed, databases)
    messages, stored = await _messages(comparing, run)
    integration_files = integration_files_of(run.style)
    acceptance = [round(each.accepted_ms - each.requested_ms, 1) for each in run.placed]
    return StyleFigures(
        conditions=run.conditions,
        end_states=dict(sorted(Counter(map(classify_end, end_states.values())).items())),
        latency_alone_ms=latency_of(run.alone, databases)[0].whole,
        acceptance_ms=Percentiles.of(acceptance),
        latency_ms=latency,
        throughput_per_s=throughput_of(run.placed, databases),
        messages_per_saga=round(sum(messages.values()), 3),
        messages_by_kind=messages,
        stored_per_saga=stored,
        database_writes_per_saga=run.database_writes,
        cpu_ms_per_saga={name: used.cpu_ms for name, used in run.processes.items()},
        processes=run.processes,
        recovery_s=recovery_s,
        killed=KILLS[run.style].process,
        integration_lines=sum(each.lines for each in integration_files),
        integration_files=integration_files,
        dependencies=dependencies_of(run.style),
        status_sources=status_sources_of(run.style),
        samples_ms=samples,
    )


async def _messages(comparing: Comparing, run: Run) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the messages and the stored records per saga, by kind."""
    if run.style == "orchestrated":
        counted = await count_histories(comparing.stack.client, run.saga_ids)
        stored = Counter({HISTORY_EVENTS: counted.pop(HISTORY_EVENTS, 0)})
        return per_saga(counted, run.placed), per_saga(stored, run.placed)
    consumed = comparing.databases.count_consumed(run.saga_ids)
    commands = len(run.placed)
    return (
        per_saga(Counter({"AMQP deliveries": consumed - commands, HTTP_REQUESTS: commands}), run.placed),
        {
            "inbox rows": per_saga(Counter(rows=consumed), run.placed)["rows"],
            "events": run.published_events,
        },
    )
