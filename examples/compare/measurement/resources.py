"""Measures the resources of the processes of a stack, and the transactions and events of the services."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from examples.stack.service_databases import ServiceDatabases
from examples.stack.stack import Stack

from .load import wait_until_drained
from .process_usage import Usage, busy_ms, usage_of

PUBLISHED_EVENTS = "select seq from sqlite_sequence where name = 'saga_outbox'"
"""The number of events ever put into the outbox of a service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All counters at one moment; the difference of two readings is the cost in between.

    Args:
        at_seconds: The time of the reading, on a monotonic clock.
        usage: The usage of each process of both styles.
        busy_ms: The CPU time of all cores, for all programs of the machine.
        own_ms: The CPU time of this process.
        writes: The writing transactions of all services.
        published: The events published by all services.
    """

    at_seconds: float
    usage: Mapping[str, Usage]
    busy_ms: float
    own_ms: float
    writes: int
    published: int


def processes_of(stack: Stack, style: str) -> dict[str, list[int]]:
    """Returns the process ids of a style, by name; a server of another stack cannot be measured."""
    services = {name: [service.pid] for name, service in stack.services.items()}
    if style == "orchestrated":
        server = {"Temporal": [stack.temporal.process.pid]} if stack.temporal else {}
        return {**server, "worker": [stack.worker.pid], **services}
    return {**({"RabbitMQ": [stack.rabbit.process.pid]} if stack.rabbit else {}), **services}


async def take_reading(stack: Stack, databases: ServiceDatabases) -> Reading:
    """Reads every counter, after all outboxes are empty."""
    await wait_until_drained(databases)
    health = [await stack.get(name, "/health") for name in stack.urls]
    return Reading(
        at_seconds=time.monotonic(),
        usage=usage_of({**processes_of(stack, "orchestrated"), **processes_of(stack, "choreographed")}),
        busy_ms=busy_ms(),
        own_ms=time.process_time() * 1000,
        writes=sum(int(str(each["writes"])) for each in health),
        published=sum(databases.count(PUBLISHED_EVENTS).values()),
    )


async def measure_idle_cpu(groups: Mapping[str, Sequence[int]], *, seconds: float) -> dict[str, float]:
    """Measures the milliseconds of CPU per second of each idle process."""
    before = usage_of(groups)
    await asyncio.sleep(seconds)
    return {name: (used - before[name]).cpu_ms / seconds for name, used in usage_of(groups).items()}
