"""Renders a comparison as a self-contained HTML page, for light and dark screens and for paper."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from examples.compare.measurement.figures import Comparison, Invariant, StyleFigures
from examples.compare.measurement.order_plan import DISTURBED
from examples.compare.reporting.charts import distribution, stacked_cpu
from examples.compare.reporting.metrics import (
    METRICS,
    TIMES,
    Metric,
    Verdict,
    find_warnings,
    format_figure,
    judge,
)
from examples.payment.saga import THREE_TIMES

SHEET = Path(__file__).with_name("page.css")

DEFINITIONS = {
    "Latency": "The clock starts when the start request has returned to the client: the workflow is started, "
    "or the order service has stored the order and answered 202. The clock stops at the last step that any "
    "service records in its database. Both styles record steps in the same tables, under the same keys.",
    "Alone, under load": "Alone: twenty completing orders, one at a time. Under load: the number of orders "
    "in progress is constant, so latency grows as throughput falls.",
    "Failure to compensated": "From the first refusal that a service records to the last compensation.",
    "CPU, written to disk": "For each process and its children, as the kernel counts, between two moments "
    "without work. The figures of a style include only the server of that style.",
    "Messages": "Messages to processes of the application: workflow tasks, activity tasks and HTTP requests, "
    "or AMQP deliveries and HTTP requests; counted from the histories and from the inboxes.",
    "Recovery": "An order waits inside a step while the process of that step is killed with SIGKILL and "
    "restarted at once. With an orchestrator, the step is retried after its start-to-close timeout "
    f"({THREE_TIMES.timeout.total_seconds():g} s here; a heartbeat timeout is shorter). A broker redelivers "
    "the event as soon as the connection is closed.",
    "Integration code": "Lines without blank lines, comments and docstrings, in the files named above.",
    "One machine": "All processes, including the load, share the same cores. On other machines the ratios "
    "are more comparable than the figures; differences of a few percent are noise in a single run.",
}


def render_page(comparison: Comparison) -> str:
    """Renders the whole page."""
    title = "Orchestration and choreography, over the same services"
    body = "\n".join(
        (
            _opening(title, comparison),
            _headline(comparison),
            _latency(comparison),
            _cpu(comparison),
            _dependencies(comparison),
            _counts(comparison),
            _checks(comparison.invariants),
            _definitions(),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{SHEET.read_text('utf-8')}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _opening(title: str, comparison: Comparison) -> str:
    conditions = next(iter(comparison.styles.values())).conditions
    held = sum(each.held for each in comparison.invariants)
    checked = len(comparison.invariants)
    kinds = escape(", ".join(DISTURBED))
    warnings = "".join(
        f'<span class="chip warning">{escape(warning)}</span>' for warning in find_warnings(comparison)
    )
    same = "identical end states" if comparison.identical_end_states else "END STATES DIFFER"
    return (
        f"<h1>{escape(title)}</h1>\n"
        f'<p class="muted">The same {conditions.orders} orders ran in each style, {conditions.concurrency} '
        f"at a time, on {conditions.cores} cores; a fifth of them with a fault or a refusal ({kinds}).</p>\n"
        f"<div>{_chip(same, is_good=comparison.identical_end_states)}"
        f"{_chip(f'{held} of {checked} invariants held', is_good=held == checked)}"
        f"{_end_states(comparison)}{warnings}</div>\n"
        f'<div class="pair cards">{"".join(_card(name, comparison) for name in comparison.styles)}</div>'
    )


def _chip(text: str, *, is_good: bool) -> str:
    look, mark = ("good", "✓") if is_good else ("bad", "✗")
    return f'<span class="chip {look}">{mark} {escape(text)}</span>'


def _end_states(comparison: Comparison) -> str:
    """The number of orders per end state; once if the numbers of both styles are equal."""
    counts = {
        name: ", ".join(f"{count} {state}" for state, count in figures.end_states.items())
        for name, figures in comparison.styles.items()
    }
    if len(set(counts.values())) == 1:
        counts = {"in both": next(iter(counts.values()))}
    return "".join(
        f'<span class="chip">{escape(states)} <span class="{_css(name)}">{escape(name)}</span></span>'
        for name, states in counts.items()
    )


def _card(name: str, comparison: Comparison) -> str:
    """The metrics with a better figure of the style, largest ratio first."""
    verdicts = [(judge(metric, comparison.styles), metric) for metric in METRICS]
    won = [(found, metric) for found, metric in verdicts if found.better == name]
    won.sort(key=lambda each: -each[0].ratio)
    lines = "".join(
        f"<li><b>{escape(_times(found, metric))}</b> {escape(metric.name)}</li>" for found, metric in won
    )
    return (
        f'<section class="card {_css(name)}-edge">'
        f'<h3 class="{_css(name)}">{escape(name)} is better in</h3>'
        f"<ul>{lines or '<li>no metric</li>'}</ul></section>"
    )


def _times(found: Verdict, metric: Metric) -> str:
    direction = "more" if metric.more_is_better else "less"
    return f"{found.ratio:.1f}{TIMES} {direction}" if found.ratio < float("inf") else "none"


def _headline(comparison: Comparison) -> str:
    rows = "\n".join(_row(metric, comparison) for metric in METRICS)
    return (
        f"<h2>Costs of each style</h2>\n{_legend(comparison)}\n"
        '<table class="headline"><thead><tr><th>metric</th><th>side by side</th>'
        f"<th>better</th></tr></thead><tbody>\n{rows}\n</tbody></table>"
    )


def _legend(comparison: Comparison) -> str:
    names = "".join(f'<span class="{_css(name)}">{escape(name)}</span>' for name in comparison.styles)
    return f'<div class="legend">{names}</div>'


def _row(metric: Metric, comparison: Comparison) -> str:
    values = {name: metric.of(figures) for name, figures in comparison.styles.items()}
    most = max(values.values()) or 1.0
    bars = "".join(
        f'<div class="bar {_css(name)}" title="{escape(name)}">'
        f'<i style="width:{100 * value / most:.1f}%"></i>'
        f"<b>{format_figure(value)} <small>{escape(metric.unit)}</small></b></div>"
        for name, value in values.items()
    )
    return (
        f'<tr><th scope="row">{escape(metric.name)}<small class="muted">{escape(metric.note)}</small></th>'
        f'<td class="bars">{bars}</td><td>{_verdict(metric, comparison)}</td></tr>'
    )


def _verdict(metric: Metric, comparison: Comparison) -> str:
    found = judge(metric, comparison.styles)
    if found.better is None:
        return '<span class="muted">about equal</span>'
    times = escape(_times(found, metric))
    return f'<span class="verdict {_css(found.better)}">{times}<small>{escape(found.better)}</small></span>'


def _latency(comparison: Comparison) -> str:
    ended = {name: each.samples_ms.acceptance_to_end for name, each in comparison.styles.items()}
    failed = {name: each.samples_ms.failure_to_compensated for name, each in comparison.styles.items()}
    all_orders = distribution(ended, name="ended", label="from acceptance to the last step (log scale)")
    failed_orders = distribution(failed, name="compensated", label="from failure to compensated (log scale)")
    rows = "".join(_latency_row(name, each) for name, each in comparison.styles.items())
    spans = ("to acceptance", "acceptance to end", "failure to compensated")
    groups = "".join(f'<th class="number" colspan="3">{span}</th>' for span in spans)
    heads = "".join(f'<th class="number">{head}</th>' for head in ("p50", "p95", "p99") * len(spans))
    return (
        "<h2>Durations of sagas under load</h2>\n"
        '<p class="muted">The share of orders that have ended after a time; the dot is the median.</p>\n'
        f'<div class="pair"><figure><figcaption>All orders</figcaption>{all_orders}</figure>'
        f"<figure><figcaption>Failed orders</figcaption>{failed_orders}</figure></div>\n"
        f'<div class="scroll"><table><thead><tr><th></th>{groups}</tr>'
        f"<tr><th>milliseconds</th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _latency_row(name: str, figures: StyleFigures) -> str:
    failed = figures.latency_ms.failure_to_compensated
    groups = (figures.acceptance_ms, figures.latency_ms, failed)
    cells = "".join(_number(value) for each in groups for value in (each.p50, each.p95, each.p99))
    return f'<tr><th scope="row" class="{_css(name)}">{escape(name)}</th>{cells}</tr>'


def _cpu(comparison: Comparison) -> str:
    tables = "".join(_processes(name, each) for name, each in comparison.styles.items())
    return (
        "<h2>CPU time per process</h2>\n"
        f"<figure>{stacked_cpu(comparison.styles, name='cpu')}</figure>\n"
        f'<div class="pair">{tables}</div>'
    )


def _processes(name: str, figures: StyleFigures) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(process)}</th>{_number(used.cpu_ms)}{_number(used.written_kib)}'
        f"{_number(used.idle_cpu_ms_per_s)}</tr>"
        for process, used in figures.processes.items()
    )
    return (
        f'<div><h3 class="{_css(name)}">{escape(name)}</h3><table><thead><tr><th>process</th>'
        '<th class="number">CPU ms<br>per saga</th><th class="number">KiB written<br>per saga</th>'
        '<th class="number">CPU ms per s<br>while idle</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _dependencies(comparison: Comparison) -> str:
    matrices = "".join(_matrix(name, each) for name, each in comparison.styles.items())
    return (
        "<h2>Dependencies between services</h2>\n"
        '<p class="muted">The number of operations or event types of each column that each row depends on. '
        "Both must be changed together. Point at a number for their names.</p>\n"
        f'<div class="pair">{matrices}</div>'
    )


def _matrix(name: str, figures: StyleFigures) -> str:
    dependencies = figures.dependencies
    services = sorted({each for others in dependencies.values() for each in others} | set(dependencies))
    columns = [each for each in services if each != "orchestrator"]
    heads = "".join(f"<th>{escape(each)}</th>" for each in columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(row)}</th>'
        + "".join(_cell(name, row, each, others.get(each, ())) for each in columns)
        + "</tr>"
        for row, others in dependencies.items()
    )
    sources = "".join(f"<li>{escape(each)}</li>" for each in figures.status_sources)
    return (
        f'<div><h3 class="{_css(name)}">{escape(name)}</h3>'
        '<div class="scroll"><table class="matrix"><thead><tr>'
        f"<th></th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"<h3>Sources of the status of a saga</h3><ul>{sources}</ul></div>"
    )


def _cell(style: str, row: str, column: str, names: tuple[str, ...]) -> str:
    if row == column:
        return '<td class="self"></td>'
    if not names:
        return "<td></td>"
    return f'<td class="known {_css(style)}-fill" title="{escape(", ".join(names))}">{len(names)}</td>'


def _counts(comparison: Comparison) -> str:
    tables = "".join(_count_table(name, each) for name, each in comparison.styles.items())
    return f'<h2>Messages, records and code</h2>\n<div class="pair">{tables}</div>'


def _count_table(name: str, figures: StyleFigures) -> str:
    groups = (
        ("messages per saga", figures.messages_by_kind),
        ("records per saga, only for this style", figures.stored_per_saga),
        ("lines of integration code", {each.file: float(each.lines) for each in figures.integration_files}),
    )
    rows = "".join(
        f'<tr><th class="muted" colspan="2"><small>{escape(group)}</small></th></tr>'
        + "".join(f"<tr><td>{escape(label)}</td>{_number(value)}</tr>" for label, value in counted.items())
        for group, counted in groups
    )
    return f'<div><h3 class="{_css(name)}">{escape(name)}</h3><table><tbody>{rows}</tbody></table></div>'


def _checks(invariants: Iterable[Invariant]) -> str:
    lines = "".join(
        f"<li{'' if each.held else ' class=broken'}>{escape(each.name)}"
        + (f" <small>{escape(each.detail)}</small>" if each.detail else "")
        + "</li>"
        for each in invariants
    )
    return f'<h2>Invariants</h2>\n<ul class="checks">{lines}</ul>'


def _definitions() -> str:
    terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in DEFINITIONS.items())
    return f"<h2>Definitions</h2>\n<dl>{terms}</dl>"


def _number(value: float) -> str:
    return f'<td class="number">{format_figure(value)}</td>'


def _css(style: str) -> str:
    """The CSS class of a style; any other text gets a neutral class, as class names stand in attributes."""
    return style if style in {"orchestrated", "choreographed"} else "muted"
