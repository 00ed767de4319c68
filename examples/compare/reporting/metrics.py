"""The few figures that decide, side by side: what the table and the page begin with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from examples.compare.measurement.figures import Comparison, StyleFigures

TIMES = "\N{MULTIPLICATION SIGN}"
ALIKE = 1.1
"""Up to this ratio two figures are called about the same: one run says no more."""


DISTURBING = 0.1
"""The share of the cores that others may use before it is said."""
SERVERS = {"orchestrated": "Temporal", "choreographed": "RabbitMQ"}
"""The server of each style."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure of each style.

    Args:
        name: What it is.
        unit: What it is counted in; may be empty.
        note: What one has to know to read it.
        of: Takes it from the figures of a style.
        more_is_better: Otherwise less is.
    """

    name: str
    unit: str
    note: str
    of: Callable[[StyleFigures], float]
    more_is_better: bool = False


METRICS = (
    Metric(
        name="Latency alone",
        unit="ms",
        note="median, one order at a time: from its acceptance to the last step in any service",
        of=lambda figures: figures.latency_alone_ms.p50,
    ),
    Metric(
        name="Acceptance under load",
        unit="ms",
        note="median of the placing call, before the clock of the latency starts",
        of=lambda figures: figures.acceptance_ms.p50,
    ),
    Metric(
        name="Latency under load",
        unit="ms",
        note="median; with every core busy, most of it is waiting for one",
        of=lambda figures: figures.latency_ms.p50,
    ),
    Metric(
        name="Latency under load, p95",
        unit="ms",
        note="95 of 100 orders are through, those in trouble included",
        of=lambda figures: figures.latency_ms.p95,
    ),
    Metric(
        name="Failure to compensated",
        unit="ms",
        note="median under load, from the refusal to the last compensation",
        of=lambda figures: figures.latency_ms.failure_to_compensated.p50,
    ),
    Metric(
        name="Throughput",
        unit="sagas/s",
        note="with all processes of the stack on these cores",
        of=lambda figures: figures.throughput_per_s,
        more_is_better=True,
    ),
    Metric(
        name="CPU",
        unit="ms/saga",
        note="of every process that the style needs, its server included",
        of=lambda figures: sum(figures.cpu_ms_per_saga.values()),
    ),
    Metric(
        name="Messages",
        unit="per saga",
        note="handed to the application: tasks, deliveries, HTTP requests",
        of=lambda figures: figures.messages_per_saga,
    ),
    Metric(
        name="Database writes",
        unit="per saga",
        note="transactions of the services; what Temporal and RabbitMQ store is in the line below",
        of=lambda figures: figures.database_writes_per_saga,
    ),
    Metric(
        name="Written to disk",
        unit="KiB/saga",
        note="by all processes that the style needs, as the kernel counts it",
        of=lambda figures: sum(each.written_kib for each in figures.processes.values()),
    ),
    Metric(
        name="Recovery",
        unit="s",
        note="from a SIGKILL in the middle of a saga to its end",
        of=lambda figures: figures.recovery_s,
    ),
    Metric(
        name="Wiring",
        unit="lines",
        note="code that is there only to connect the services, for both example sagas",
        of=lambda figures: float(figures.wiring_lines),
    ),
    Metric(
        name="Services that know others",
        unit="",
        note="that react to facts of another one; an orchestrator alone knows them all",
        of=lambda figures: float(_knowing_services(figures)),
    ),
    Metric(
        name="Places to ask",
        unit="",
        note="to learn how one saga stands as a whole",
        of=lambda figures: float(len(figures.state_is_asked_at)),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How two figures compare.

    Args:
        better: The style that is better off; `None` if they are about the same.
        ratio: How many times, at least 1; infinite if one of them is 0.
    """

    better: str | None
    ratio: float

    def __str__(self) -> str:
        if self.better is None:
            return "about the same"
        return f"{self.better} {self.ratio:.1f}{TIMES}" if self.ratio < float("inf") else self.better


def verdict(metric: Metric, styles: Mapping[str, StyleFigures]) -> Verdict:
    """Which style is better off in one figure, and how many times."""
    values = {name: metric.of(figures) for name, figures in styles.items()}
    least, most = (pick(values, key=lambda name: values[name]) for pick in (min, max))
    ratio = values[most] / values[least] if values[least] else float("inf")
    if values[most] == values[least] or ratio <= ALIKE:
        return Verdict(better=None, ratio=1.0)
    return Verdict(better=most if metric.more_is_better else least, ratio=ratio)


def cautions(comparison: Comparison) -> list[str]:
    """What one has to know before one believes the figures; nothing, if they were measured undisturbed."""
    said: list[str] = []
    for name, figures in comparison.styles.items():
        conditions = figures.conditions
        if conditions.cores_of_others > DISTURBING * conditions.cores:
            said.append(
                f"other programs kept {conditions.cores_of_others:.1f} of {conditions.cores} cores busy "
                f"while {name} ran: trust its CPU rather than its latency"
            )
        if (server := SERVERS[name]) not in figures.processes:
            said.append(f"{server} runs elsewhere: its CPU and its disk are not in the figures")
    return said


def shown(value: float) -> str:
    """A figure for people: no more digits than it has."""
    return f"{value:,.0f}" if value >= 20 or value == int(value) else f"{value:.1f}"


def _knowing_services(figures: StyleFigures) -> int:
    return sum(1 for knower, known in figures.knows.items() if known and knower != "orchestrator")
