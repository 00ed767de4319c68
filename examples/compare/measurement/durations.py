"""Durations of sagas, from the times recorded by the services."""

from collections.abc import Sequence

from examples.stack.service_databases import ServiceDatabases, Steps

from .figures import Latency, Percentiles, Samples
from .load import PlacedOrder


def latency_of(placed: Sequence[PlacedOrder], databases: ServiceDatabases) -> tuple[Latency, Samples]:
    """Computes the latency of sagas; a saga without any step is left out."""
    ended: list[float] = []
    compensated: list[float] = []
    for each in placed:
        steps = databases.steps(each.saga_id)
        if steps:
            # The first steps may have been done before the answer reached the client.
            ended.append(max(0.0, ended_ms(steps) - each.accepted_ms))
        if (duration := compensation_ms(steps)) is not None:
            compensated.append(duration)
    samples = Samples(
        acceptance_to_end=tuple(round(each, 1) for each in sorted(ended)),
        failure_to_compensated=tuple(round(each, 1) for each in sorted(compensated)),
    )
    whole = Percentiles.of(samples.acceptance_to_end)
    return Latency(**whole.model_dump(), failure_to_compensated=Percentiles.of(compensated)), samples


def throughput_of(placed: Sequence[PlacedOrder], databases: ServiceDatabases) -> float:
    """Computes the sagas per second, from the first acceptance to the last end."""
    ends = [ended_ms(steps) for each in placed if (steps := databases.steps(each.saga_id))]
    if not ends:
        return 0.0
    return round(len(ends) / (max(ends) - min(each.accepted_ms for each in placed)) * 1000, 2)


def ended_ms(steps: Steps) -> float:
    """Returns the time of the last change of a step of a saga, in any service."""
    return max(step.updated_ms for step in steps.values())


def compensation_ms(steps: Steps) -> float | None:
    """Returns the time from the first rejection to the last compensation; `None` without either."""
    rejected = [step.updated_ms for step in steps.values() if step.state == "rejected"]
    compensated = [step.updated_ms for step in steps.values() if step.state in {"compensated", "voided"}]
    return max(compensated) - min(rejected) if rejected and compensated else None
