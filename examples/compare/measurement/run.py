"""Runs the planned orders in one style, and reads what that has cost."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from examples.compare.measurement.figures import Conditions, Latency, Percentiles, Process, Samples
from examples.compare.measurement.order_plan import Planned
from examples.compare.measurement.process_usage import Usage, busy_ms, usage_of
from examples.stack.service_databases import Records, Steps
from examples.stack.stack import Stack
from examples.stack.styles import Style

PATIENCE = 60.0
"""Seconds in which an order has to end; after that it counts as unfinished, and the run goes on."""
QUIET = 0.5
"""Seconds after the last end in which the servers may put their things in order; they are counted."""
DRAIN_PATIENCE = 10.0

WAITING_EVENTS = "select count(*) from saga_outbox"
TOLD_EVENTS = "select seq from sqlite_sequence where name = 'saga_outbox'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is run in each style.

    Args:
        planned: The orders.
        concurrency: How many are under way at a time: the next is placed when one has ended.
        seed: What they were made from.
        alone: How many orders that go well run before, one at a time.
        idle_seconds: How long it is watched what the processes use when there is nothing to do.
    """

    planned: tuple[Planned, ...]
    concurrency: int
    seed: int
    alone: int = 20
    idle_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An order that was accepted: which one, and when it was asked for and accepted, in ms since 1970."""

    planned: Planned
    order_id: str
    saga_id: str
    asked_ms: float
    accepted_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Everything that is counted, as it stands at one moment.

    Args:
        at: That moment, in seconds.
        usage: Of every process of both styles.
        busy_ms: Of all cores, whoever for.
        own_ms: Of this process.
        writes: Of all services.
        told: Events, by all services.
    """

    at: float
    usage: Mapping[str, Usage]
    busy_ms: float
    own_ms: float
    writes: int
    told: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One style's run over all orders, with what was read before and after.

    Args:
        style: Which.
        load: What was run.
        names: The processes that the style needs.
        placed: The orders.
        before: What was read before the first one.
        after: What was read after the last one.
        idle: Milliseconds of CPU per second of each process when there was nothing to do.
        alone: Orders that ran before, one at a time.
    """

    style: str
    load: Load
    names: tuple[str, ...]
    placed: tuple[Placed, ...]
    before: Readings
    after: Readings
    idle: Mapping[str, float]
    alone: tuple[Placed, ...]

    @property
    def saga_ids(self) -> list[str]:
        """Of all its sagas."""
        return [each.saga_id for each in self.placed]

    @property
    def conditions(self) -> Conditions:
        """How it was run."""
        return Conditions(
            orders=len(self.placed),
            concurrency=self.load.concurrency,
            seed=self.load.seed,
            cores=len(os.sched_getaffinity(0)),
            cores_of_others=self._cores_of_others,
            seconds=round(self.after.at - self.before.at, 2),
        )

    @property
    def processes(self) -> dict[str, Process]:
        """What each process that the style needs has used per saga."""
        return {
            name: Process(
                cpu_ms=_per(used.cpu_ms, self.placed),
                written_kib=_per(used.written_kib, self.placed),
                idle_cpu_ms_per_s=round(self.idle.get(name, 0.0), 2),
            )
            for name in self.names
            for used in (self._used[name],)
        }

    @property
    def database_writes(self) -> float:
        """Per saga, over all services."""
        return _per(self.after.writes - self.before.writes, self.placed)

    @property
    def events_told(self) -> float:
        """Per saga, over all services."""
        return _per(self.after.told - self.before.told, self.placed)

    @property
    def _used(self) -> dict[str, Usage]:
        return {name: used - self.before.usage[name] for name, used in self.after.usage.items()}

    @property
    def _cores_of_others(self) -> float:
        ours = sum(used.cpu_ms for used in self._used.values()) + self.after.own_ms - self.before.own_ms
        others = self.after.busy_ms - self.before.busy_ms - ours
        return round(max(0.0, others) / 1000 / (self.after.at - self.before.at), 2)


async def run_orders(
    style: Style, load: Load, *, prefix: str, advance: Callable[[], None]
) -> tuple[Placed, ...]:
    """Places the orders, so many at a time, and returns when all have ended or were given up.

    Args:
        style: How.
        load: Which.
        prefix: Of their ids.
        advance: Called whenever one has ended.
    """
    turn = asyncio.Semaphore(load.concurrency)

    async def run(planned: Planned) -> Placed:
        order = planned.order(prefix)
        async with turn:
            asked_ms = time.time_ns() / 1e6
            saga_id = await style.place(order)
            accepted_ms = time.time_ns() / 1e6
            try:
                async with asyncio.timeout(PATIENCE):
                    await style.until_ended(saga_id)
            except TimeoutError:
                pass  # Its end state is not among those that are allowed, and the report says so.
        advance()
        return Placed(
            planned=planned,
            order_id=order.order_id,
            saga_id=saga_id,
            asked_ms=asked_ms,
            accepted_ms=accepted_ms,
        )

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(run(each)) for each in load.planned]
    return tuple(each.result() for each in running)


async def come_to_rest(records: Records) -> None:
    """Returns when no event waits in an outbox, and a little later."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DRAIN_PATIENCE
    # Asking again and again, as another process's database gives no event for it.
    while sum(records.count(WAITING_EVENTS).values()) and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await asyncio.sleep(QUIET)
    records.refresh()


def processes_of(stack: Stack, style: str) -> dict[str, list[int]]:
    """The processes that a style needs, by name; those of a server that is not ours cannot be looked into."""
    services = {name: [service.pid] for name, service in stack.services.items()}
    if style == "orchestrated":
        server = {"Temporal": [stack.temporal.process.pid]} if stack.temporal else {}
        return {**server, "worker": [stack.worker.pid], **services}
    return {**({"RabbitMQ": [stack.rabbit.process.pid]} if stack.rabbit else {}), **services}


async def readings(stack: Stack, records: Records) -> Readings:
    """Reads every counter, once nothing waits in an outbox."""
    await come_to_rest(records)
    health = [await stack.get(name, "/health") for name in stack.urls]
    return Readings(
        at=time.monotonic(),
        usage=usage_of({**processes_of(stack, "orchestrated"), **processes_of(stack, "choreographed")}),
        busy_ms=busy_ms(),
        own_ms=time.process_time() * 1000,
        writes=sum(int(str(each["writes"])) for each in health),
        told=sum(records.count(TOLD_EVENTS).values()),
    )


async def idle_cpu(groups: Mapping[str, Sequence[int]], *, seconds: float) -> dict[str, float]:
    """Milliseconds of CPU per second that each process uses while there is nothing to do."""
    before = usage_of(groups)
    await asyncio.sleep(seconds)
    return {name: (used - before[name]).cpu_ms / seconds for name, used in usage_of(groups).items()}


def latency_of(placed: Sequence[Placed], records: Records) -> tuple[Latency, Samples]:
    """How long sagas took, from what the services have recorded; those without an end are left out."""
    ended: list[float] = []
    compensated: list[float] = []
    for each in placed:
        steps = records.steps(each.saga_id)
        if steps:
            # The first steps may have been done before the answer reached the client.
            ended.append(max(0.0, ended_ms(steps) - each.accepted_ms))
        if (took := compensation_ms(steps)) is not None:
            compensated.append(took)
    back = Percentiles.of(compensated)
    samples = Samples(
        acceptance_to_end=tuple(round(each, 1) for each in sorted(ended)),
        failure_to_compensated=tuple(round(each, 1) for each in sorted(compensated)),
    )
    whole = Percentiles.of(samples.acceptance_to_end)
    return Latency(**whole.model_dump(), failure_to_compensated=back), samples


def throughput_of(placed: Sequence[Placed], records: Records) -> float:
    """Sagas per second, from the first acceptance to the last end."""
    ends = [ended_ms(steps) for each in placed if (steps := records.steps(each.saga_id))]
    if not ends:
        return 0.0
    return round(len(ends) / (max(ends) - min(each.accepted_ms for each in placed)) * 1000, 2)


def ended_ms(steps: Steps) -> float:
    """When the last step of a saga came to its state, in any service."""
    return max(step.updated_ms for step in steps.values())


def compensation_ms(steps: Steps) -> float | None:
    """From the first refusal to the last compensation; `None` for a saga without either."""
    failed = [step.updated_ms for step in steps.values() if step.state == "failed"]
    made_up = [step.updated_ms for step in steps.values() if step.state in {"compensated", "fenced"}]
    return max(made_up) - min(failed) if failed and made_up else None


def per_saga(counted: Counter[str], placed: Sequence[Placed]) -> dict[str, float]:
    """Sums over all sagas, as means."""
    return {name: _per(number, placed) for name, number in counted.items()}


def _per(total: float, placed: Sequence[Placed]) -> float:
    return round(total / len(placed), 3) if placed else 0.0
