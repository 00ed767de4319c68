"""A sample comparison, for tests of its presentation."""

from examples.compare.measurement.figures import (
    Comparison,
    Conditions,
    IntegrationFile,
    Invariant,
    Latency,
    Percentiles,
    Process,
    Samples,
    StyleFigures,
)

SERVICES = ("order", "inventory", "payment", "shipping", "notification")


def a_style(name: str, *, slower: float, processes: tuple[str, ...]) -> StyleFigures:
    """The figures of a style; durations and costs grow with `slower`."""
    ended = tuple(round(slower * (40 + n * 0.4) + (1000 if n > 195 else 0), 1) for n in range(200))
    back = tuple(round(slower * (15 + n * 0.7), 1) for n in range(32))
    used = {
        each: Process(
            cpu_ms=slower * (20 if each not in SERVICES else 4.2), written_kib=30.5, idle_cpu_ms_per_s=1.2
        )
        for each in (*processes, *SERVICES)
    }
    return StyleFigures(
        conditions=Conditions(
            orders=200, concurrency=20, seed=1, cores=2, cores_of_others=0.4 * slower, seconds=31.4
        ),
        end_states={"compensated": 32, "completed": 168},
        latency_alone_ms=Percentiles.of([30 * slower]),
        acceptance_ms=Percentiles.of([5 * slower]),
        latency_ms=Latency(**Percentiles.of(ended).model_dump(), failure_to_compensated=Percentiles.of(back)),
        throughput_per_s=20 / slower,
        messages_per_saga=30.5 * slower,
        messages_by_kind={"HTTP requests": 10.5 * slower, "tasks": 20 * slower},
        stored_per_saga={"history events": 71.2},
        database_writes_per_saga=14.2,
        cpu_ms_per_saga={each: process.cpu_ms for each, process in used.items()},
        processes=used,
        recovery_s=4.2 * slower,
        killed="the worker",
        integration_lines=230,
        integration_files=(IntegrationFile(file="examples/order/saga.py", lines=230),),
        dependencies={"order": {"payment": ("payment-declined",)}, "payment": {}},
        status_sources=(f"{name}: GET /state",),
        samples_ms=Samples(acceptance_to_end=ended, failure_to_compensated=back),
    )


def a_comparison(*, detail: str = "") -> Comparison:
    """A comparison with every invariant held; `detail` breaks an invariant."""
    return Comparison(
        identical_end_states=not detail,
        styles={
            "orchestrated": a_style("orchestrated", slower=2.1, processes=("Temporal", "worker")),
            "choreographed": a_style("choreographed", slower=1.0, processes=("RabbitMQ",)),
        },
        invariants=(
            Invariant(name="the ledger sums to zero", held=True),
            Invariant(name="the stock is conserved", held=not detail, detail=detail),
        ),
    )
