"""The comparison itself: the same orders in one style after the other, on one stack, and what came of it."""

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

from examples.compare.endings import Ending, ending_of
from examples.compare.figures import Comparison, Percentiles, StyleFigures
from examples.compare.histories import HISTORY_EVENTS, HTTP_REQUESTS, count_histories
from examples.compare.invariants import differences, end_state, invariants
from examples.compare.measure import (
    WAITING_EVENTS,
    Load,
    Placed,
    Run,
    come_to_rest,
    idle_cpu,
    latency_of,
    per_saga,
    processes_of,
    readings,
    run_orders,
    throughput_of,
)
from examples.compare.orders import Planned, plan
from examples.compare.records import Records
from examples.compare.recovery import DEATHS, recover
from examples.compare.stack import Stack
from examples.compare.styles import Choreographed, Orchestrated, Style
from examples.compare.wiring import state_is_asked_at, who_knows_whom, wiring_of
from workers import Settings, find_rabbitmq_program

WARM_UP = 10
"""Orders of each style before anything is measured: processes import, connect and compile at first use."""
CLIENT_PATIENCE = 60.0
"""Seconds that a service may take to accept an order; many of them wait in one queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the orders run.

    Args:
        stack: The processes.
        records: Their databases.
        tag: Keeps the ids of this comparison apart from those of others on the same stack.
    """

    stack: Stack
    records: Records
    tag: str


async def compare(settings: Settings, load: Load, progress: Progress) -> Comparison:
    """Runs everything on servers and databases of its own, which are gone afterwards."""
    settings.data_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="compare-", dir=settings.data_folder.absolute()) as folder:
        own = settings.model_copy(update={"data_folder": Path(folder)})
        async with Stack(own, task_queue=f"compare-{secrets.token_hex(4)}") as stack:
            return await compare_on(stack, load, progress)


async def compare_on(stack: Stack, load: Load, progress: Progress) -> Comparison:
    """Runs everything on a stack that runs.

    Raises:
        MissingProgramError: It has no broker, as RabbitMQ is not installed.
    """
    if stack.broker is None:
        find_rabbitmq_program()
    tag = secrets.token_hex(3)
    limits = httpx.Limits(max_connections=load.concurrency, max_keepalive_connections=load.concurrency)
    async with httpx.AsyncClient(trust_env=False, timeout=CLIENT_PATIENCE, limits=limits) as http:
        with closing(Records(stack.databases)) as records:
            styles: tuple[Style, ...] = (
                Orchestrated(stack.client, stack.task_queue),
                Choreographed(http, records, stack.urls),
            )
            stage = Stage(stack=stack, records=records, tag=tag)
            runs = {each.name: await _measured(each, stage, load, progress) for each in styles}
            recoveries = {
                each.name: await recover(each, stack, records, order_id=f"{tag}-{each.name}-recovery")
                for each in styles
            }
            records.refresh()
            return await _concluded(stack, records, runs, recoveries)


async def _measured(style: Style, stage: Stage, load: Load, progress: Progress) -> Run:
    stack, records, tag = stage.stack, stage.records, stage.tag
    groups = processes_of(stack, style.name)
    task = progress.add_task(style.name, total=len(load.planned))
    prefix = f"{tag}-{style.name}"
    warm_up = Load(planned=plan(WARM_UP, seed=load.seed), concurrency=load.concurrency, seed=load.seed)
    await run_orders(style, warm_up, prefix=f"{prefix}-warm-up-", advance=lambda: None)
    await come_to_rest(records)
    # With the servers to themselves, so that their latency is that of the style, and no queue's.
    quiet = Load(planned=_all_well(load.alone), concurrency=1, seed=load.seed)
    alone = await run_orders(style, quiet, prefix=f"{prefix}-alone-", advance=lambda: None)
    await come_to_rest(records)
    idle = await idle_cpu(groups, seconds=load.idle_seconds)
    before = await readings(stack, records)
    placed = await run_orders(style, load, prefix=f"{prefix}-", advance=lambda: progress.advance(task))
    after = await readings(stack, records)
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


def _all_well(count: int) -> tuple[Planned, ...]:
    return tuple(Planned(name=f"{n}", trouble="well") for n in range(count))


async def _concluded(
    stack: Stack, records: Records, runs: Mapping[str, Run], recoveries: Mapping[str, float]
) -> Comparison:
    endings = {name: await _endings(records, run.placed) for name, run in runs.items()}
    styles = {
        name: await _figures(stack, records, run, endings[name], recoveries[name])
        for name, run in runs.items()
    }
    placed = [each for run in runs.values() for each in run.placed]
    return Comparison(
        identical_end_states=not differences(endings),
        styles=styles,
        invariants=tuple(invariants(endings, placed, records.count(WAITING_EVENTS))),
    )


async def _endings(records: Records, placed: Sequence[Placed]) -> dict[str, Ending]:
    found = await asyncio.gather(*(ending_of(records, each.order_id) for each in placed))
    return {each.planned.name: ending for each, ending in zip(placed, found, strict=True)}


async def _figures(
    stack: Stack, records: Records, run: Run, endings: Mapping[str, Ending], recovery_s: float
) -> StyleFigures:
    latency, samples = latency_of(run.placed, records)
    messages, stored = await _messages(stack, records, run)
    wiring = wiring_of(run.style)
    return StyleFigures(
        conditions=run.conditions,
        end_states=dict(sorted(Counter(map(end_state, endings.values())).items())),
        latency_alone_ms=latency_of(run.alone, records)[0].whole,
        acceptance_ms=Percentiles.of([round(each.accepted_ms - each.asked_ms, 1) for each in run.placed]),
        latency_ms=latency,
        throughput_per_s=throughput_of(run.placed, records),
        messages_per_saga=round(sum(messages.values()), 3),
        messages_by_kind=messages,
        stored_per_saga=stored,
        database_writes_per_saga=run.database_writes,
        cpu_ms_per_saga={name: used.cpu_ms for name, used in run.processes.items()},
        processes=run.processes,
        recovery_s=recovery_s,
        killed=DEATHS[run.style].of,
        wiring_lines=sum(each.lines for each in wiring),
        wiring=wiring,
        knows=who_knows_whom(run.style),
        state_is_asked_at=state_is_asked_at(run.style),
        samples_ms=samples,
    )


async def _messages(stack: Stack, records: Records, run: Run) -> tuple[dict[str, float], dict[str, float]]:
    if run.style == "orchestrated":
        counted = await count_histories(stack.client, run.saga_ids)
        stored = Counter({HISTORY_EVENTS: counted.pop(HISTORY_EVENTS, 0)})
        return per_saga(counted, run.placed), per_saga(stored, run.placed)
    delivered = records.deliveries(run.saga_ids)
    asked = len(run.placed)
    return (
        per_saga(Counter({"AMQP deliveries": delivered - asked, HTTP_REQUESTS: asked}), run.placed),
        {"inbox rows": per_saga(Counter(rows=delivered), run.placed)["rows"], "events": run.events_told},
    )
