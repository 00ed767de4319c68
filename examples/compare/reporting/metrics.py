"""The key metrics of a comparison, and the verdict on each: the content of the table and the page."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from examples.compare.measurement.figures import Comparison, StyleFigures

TIMES = "\N{MULTIPLICATION SIGN}"
EQUAL_RATIO = 1.1
"""Figures up to this ratio count as equal: one run has no higher precision."""

DISTURBING_SHARE = 0.1
"""The share of the cores that other programs may use without a warning."""
SERVERS = {"orchestrated": "Temporal", "choreographed": "RabbitMQ"}
"""The server of each style."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure of both styles.

    Args:
        name: The name, for people.
        unit: The unit; may be empty.
        note: A definition, for people.
        of: Reads the figure of a style.
        more_is_better: Whether a higher figure is better; otherwise a lower figure is better.
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
        note="median, one order at a time: from acceptance to the last step in any service",
        of=lambda figures: figures.latency_alone_ms.p50,
    ),
    Metric(
        name="Acceptance under load",
        unit="ms",
        note="median of the start request, before the clock of the latency starts",
        of=lambda figures: figures.acceptance_ms.p50,
    ),
    Metric(
        name="Latency under load",
        unit="ms",
        note="median; every core is busy, so most of the latency is waiting for a core",
        of=lambda figures: figures.latency_ms.p50,
    ),
    Metric(
        name="Latency under load, p95",
        unit="ms",
        note="95 of 100 orders have ended within this time, including refused orders",
        of=lambda figures: figures.latency_ms.p95,
    ),
    Metric(
        name="Failure to compensated",
        unit="ms",
        note="median under load, from the first refusal to the last compensation",
        of=lambda figures: figures.latency_ms.failure_to_compensated.p50,
    ),
    Metric(
        name="Throughput",
        unit="sagas/s",
        note="all processes share the cores of this machine",
        of=lambda figures: figures.throughput_per_s,
        more_is_better=True,
    ),
    Metric(
        name="CPU",
        unit="ms/saga",
        note="of all processes that the style needs, including its server",
        of=lambda figures: sum(figures.cpu_ms_per_saga.values()),
    ),
    Metric(
        name="Messages",
        unit="per saga",
        note="to processes of the application: tasks, deliveries, HTTP requests",
        of=lambda figures: figures.messages_per_saga,
    ),
    Metric(
        name="Database writes",
        unit="per saga",
        note="writing transactions of the services; the next line includes Temporal and RabbitMQ",
        of=lambda figures: figures.database_writes_per_saga,
    ),
    Metric(
        name="Written to disk",
        unit="KiB/saga",
        note="by all processes that the style needs, as the kernel counts",
        of=lambda figures: sum(each.written_kib for each in figures.processes.values()),
    ),
    Metric(
        name="Recovery",
        unit="s",
        note="from a SIGKILL in the middle of a saga to the end of the saga",
        of=lambda figures: figures.recovery_s,
    ),
    Metric(
        name="Integration code",
        unit="lines",
        note="code that only connects the services, for both example sagas",
        of=lambda figures: float(figures.integration_lines),
    ),
    Metric(
        name="Dependent services",
        unit="",
        note="services that depend on events of other services; an orchestrator depends on all services",
        of=lambda figures: float(_dependent_services(figures)),
    ),
    Metric(
        name="Status sources",
        unit="",
        note="places to read for the status of one saga as a whole",
        of=lambda figures: float(len(figures.status_sources)),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The comparison of two figures.

    Args:
        better: The style with the better figure; `None` if the figures are about equal.
        ratio: The ratio of the figures, at least 1; infinite if one figure is 0.
    """

    better: str | None
    ratio: float

    def __str__(self) -> str:
        if self.better is None:
            return "about equal"
        return f"{self.better} {self.ratio:.1f}{TIMES}" if self.ratio < float("inf") else self.better


def judge(metric: Metric, styles: Mapping[str, StyleFigures]) -> Verdict:
    """Compares the figures of the styles."""
    values = {name: metric.of(figures) for name, figures in styles.items()}
    least, most = (pick(values, key=lambda name: values[name]) for pick in (min, max))
    ratio = values[most] / values[least] if values[least] else float("inf")
    if values[most] == values[least] or ratio <= EQUAL_RATIO:
        return Verdict(better=None, ratio=1.0)
    return Verdict(better=most if metric.more_is_better else least, ratio=ratio)


def find_warnings(comparison: Comparison) -> list[str]:
    """Returns the reasons for less reliable figures; empty if there are none."""
    warnings: list[str] = []
    for name, figures in comparison.styles.items():
        conditions = figures.conditions
        if conditions.cores_of_others > DISTURBING_SHARE * conditions.cores:
            warnings.append(
                f"other programs kept {conditions.cores_of_others:.1f} of {conditions.cores} cores busy "
                f"while {name} ran: its latency is less reliable than its CPU time"
            )
        if (server := SERVERS[name]) not in figures.processes:
            warnings.append(
                f"{server} is no process of this stack: the figures leave out its CPU and its disk"
            )
    return warnings


def format_figure(value: float) -> str:
    """Formats a figure with significant digits only."""
    return f"{value:,.0f}" if value >= 20 or value == int(value) else f"{value:.1f}"


def _dependent_services(figures: StyleFigures) -> int:
    return sum(1 for name, others in figures.dependencies.items() if others and name != "orchestrator")
