"""A comparison as one page that needs nothing but itself: for the screen, light and dark, and for paper."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from examples.compare.charts import distribution, stacked_cpu
from examples.compare.figures import Comparison, Invariant, StyleFigures
from examples.compare.headline import METRICS, TIMES, Metric, Verdict, cautions, shown, verdict
from examples.compare.orders import TROUBLES
from examples.payment.saga import THREE_TIMES

SHEET = Path(__file__).with_name("report.css")

DEFINITIONS = {
    "Latency": "The clock starts when the placing call has returned to the client: the workflow is started, "
    "or the order service has answered 202, and has the order. It stops at the last step that any service "
    "has recorded in its own database. Both styles record their steps in the same tables, under one key.",
    "Alone, under load": "Alone: twenty orders that go well, one after the other. Under load: as many orders "
    "as it says above are always under way, so latency grows as throughput falls.",
    "Failure to compensated": "From the first refusal that a service has recorded to the last compensation.",
    "CPU, written to disk": "Of each process and its children, as the kernel counts them, between two "
    "moments of rest. Of the two servers, each style is charged only with its own.",
    "Messages": "What is handed to a process of the application: workflow tasks, activity tasks and HTTP "
    "requests, or AMQP deliveries and HTTP requests. Counted from the histories, and from the inboxes.",
    "Recovery": "One order waits inside a step while the process that works for it is killed with SIGKILL. "
    "The process is started again at once. With an orchestrator, the step is tried again when its time-out "
    f"is over ({THREE_TIMES.start_to_close_timeout.total_seconds():g} s here; a heartbeat makes it shorter); "
    "a broker delivers again as soon as a connection is gone.",
    "Wiring": "Lines that are neither blank nor comment nor docstring, of the files named above.",
    "One machine": "All processes, the load included, share the same cores. Ratios carry over to other "
    "machines better than the figures themselves; one run says nothing about differences of a few percent.",
}


def page(comparison: Comparison) -> str:
    """The whole page as HTML."""
    title = "Orchestration and choreography, over the same services"
    body = "\n".join(
        (
            _opening(title, comparison),
            _headline(comparison),
            _latency(comparison),
            _cpu(comparison),
            _knowledge(comparison),
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
    stuck_steps = escape(", ".join(TROUBLES))
    warnings = "".join(
        f'<span class="chip warning">{escape(caution)}</span>' for caution in cautions(comparison)
    )
    same = "identical end states" if comparison.identical_end_states else "END STATES DIFFER"
    return (
        f"<h1>{escape(title)}</h1>\n"
        f'<p class="muted">The same {conditions.orders} orders ran in each style, {conditions.concurrency} '
        f"at a time, on {conditions.cores} cores; a fifth of them in trouble ({stuck_steps}).</p>\n"
        f"<div>{_chip(same, is_good=comparison.identical_end_states)}"
        f"{_chip(f'{held} of {checked} invariants held', is_good=held == checked)}"
        f"{_end_states(comparison)}{warnings}</div>\n"
        f'<div class="pair cards">{"".join(_card(name, comparison) for name in comparison.styles)}</div>'
    )


def _chip(text: str, *, is_good: bool) -> str:
    look, mark = ("good", "✓") if is_good else ("bad", "✗")
    return f'<span class="chip {look}">{mark} {escape(text)}</span>'


def _end_states(comparison: Comparison) -> str:
    """How many orders have ended in which way; once for both styles if it is the same."""
    said = {
        name: ", ".join(f"{count} {state}" for state, count in figures.end_states.items())
        for name, figures in comparison.styles.items()
    }
    if len(set(said.values())) == 1:
        said = {"in both": next(iter(said.values()))}
    return "".join(
        f'<span class="chip">{escape(states)} <span class="{_css(name)}">{escape(name)}</span></span>'
        for name, states in said.items()
    )


def _card(name: str, comparison: Comparison) -> str:
    """Where a style is better off, most of all first: the page in ten seconds."""
    verdicts = [(verdict(metric, comparison.styles), metric) for metric in METRICS]
    won = [(found, metric) for found, metric in verdicts if found.better == name]
    won.sort(key=lambda each: -each[0].ratio)
    lines = "".join(
        f"<li><b>{escape(_times(found, metric))}</b> {escape(metric.name)}</li>" for found, metric in won
    )
    return (
        f'<section class="card {_css(name)}-edge">'
        f'<h3 class="{_css(name)}">{escape(name)} is better off in</h3>'
        f"<ul>{lines or '<li>nothing here</li>'}</ul></section>"
    )


def _times(found: Verdict, metric: Metric) -> str:
    way = "more" if metric.more_is_better else "less"
    return f"{found.ratio:.1f}{TIMES} {way}" if found.ratio < float("inf") else "none at all"


def _headline(comparison: Comparison) -> str:
    rows = "\n".join(_row(metric, comparison) for metric in METRICS)
    return (
        f"<h2>What each style costs</h2>\n{_legend(comparison)}\n"
        '<table class="headline"><thead><tr><th>figure</th><th>side by side</th>'
        f"<th>better off</th></tr></thead><tbody>\n{rows}\n</tbody></table>"
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
        f"<b>{shown(value)} <small>{escape(metric.unit)}</small></b></div>"
        for name, value in values.items()
    )
    return (
        f'<tr><th scope="row">{escape(metric.name)}<small class="muted">{escape(metric.note)}</small></th>'
        f'<td class="bars">{bars}</td><td>{_verdict(metric, comparison)}</td></tr>'
    )


def _verdict(metric: Metric, comparison: Comparison) -> str:
    found = verdict(metric, comparison.styles)
    if found.better is None:
        return '<span class="muted">about the same</span>'
    times = escape(_times(found, metric))
    return f'<span class="verdict {_css(found.better)}">{times}<small>{escape(found.better)}</small></span>'


def _latency(comparison: Comparison) -> str:
    ended = {name: each.samples_ms.acceptance_to_end for name, each in comparison.styles.items()}
    back = {name: each.samples_ms.failure_to_compensated for name, each in comparison.styles.items()}
    through = distribution(ended, name="ended", label="from acceptance to the last step (log scale)")
    made_up = distribution(back, name="compensated", label="from failure to compensated (log scale)")
    rows = "".join(_latency_row(name, each) for name, each in comparison.styles.items())
    spans = ("to be accepted", "from acceptance to end", "from failure to compensated")
    groups = "".join(f'<th class="number" colspan="3">{span}</th>' for span in spans)
    heads = "".join(f'<th class="number">{head}</th>' for head in ("p50", "p95", "p99") * len(spans))
    return (
        "<h2>How long a saga takes under load</h2>\n"
        '<p class="muted">The share of orders that were through after a time; the dot is the median.</p>\n'
        f'<div class="pair"><figure><figcaption>All orders</figcaption>{through}</figure>'
        f"<figure><figcaption>Orders that failed</figcaption>{made_up}</figure></div>\n"
        f'<div class="scroll"><table><thead><tr><th></th>{groups}</tr>'
        f"<tr><th>milliseconds</th>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _latency_row(name: str, figures: StyleFigures) -> str:
    back = figures.latency_ms.failure_to_compensated
    groups = (figures.acceptance_ms, figures.latency_ms, back)
    cells = "".join(_number(value) for each in groups for value in (each.p50, each.p95, each.p99))
    return f'<tr><th scope="row" class="{_css(name)}">{escape(name)}</th>{cells}</tr>'


def _cpu(comparison: Comparison) -> str:
    tables = "".join(_processes(name, each) for name, each in comparison.styles.items())
    return (
        "<h2>Where the CPU goes</h2>\n"
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
        '<th class="number">CPU ms per s<br>when idle</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _knowledge(comparison: Comparison) -> str:
    matrices = "".join(_matrix(name, each) for name, each in comparison.styles.items())
    return (
        "<h2>Who has to know whom</h2>\n"
        '<p class="muted">Each row knows so many operations or facts of each column: what has to be changed '
        "together. Point at a number to see which.</p>\n"
        f'<div class="pair">{matrices}</div>'
    )


def _matrix(name: str, figures: StyleFigures) -> str:
    known = sorted({each for knows in figures.knows.values() for each in knows} | set(figures.knows))
    columns = [each for each in known if each != "orchestrator"]
    heads = "".join(f"<th>{escape(each)}</th>" for each in columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(knower)}</th>'
        + "".join(_cell(name, knower, each, figures.knows[knower].get(each, ())) for each in columns)
        + "</tr>"
        for knower in figures.knows
    )
    asked = "".join(f"<li>{escape(each)}</li>" for each in figures.state_is_asked_at)
    return (
        f'<div><h3 class="{_css(name)}">{escape(name)}</h3>'
        '<div class="scroll"><table class="matrix"><thead><tr>'
        f"<th></th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        f"<h3>How a saga stands is asked at</h3><ul>{asked}</ul></div>"
    )


def _cell(style: str, knower: str, known: str, what: tuple[str, ...]) -> str:
    if knower == known:
        return '<td class="self"></td>'
    if not what:
        return "<td></td>"
    return f'<td class="known {_css(style)}-fill" title="{escape(", ".join(what))}">{len(what)}</td>'


def _counts(comparison: Comparison) -> str:
    tables = "".join(_count_table(name, each) for name, each in comparison.styles.items())
    return f'<h2>What is sent, stored and written</h2>\n<div class="pair">{tables}</div>'


def _count_table(name: str, figures: StyleFigures) -> str:
    groups = (
        ("messages per saga", figures.messages_by_kind),
        ("stored per saga, only for this style", figures.stored_per_saga),
        ("lines of wiring", {each.file: float(each.lines) for each in figures.wiring}),
    )
    rows = "".join(
        f'<tr><th class="muted" colspan="2"><small>{escape(group)}</small></th></tr>'
        + "".join(f"<tr><td>{escape(what)}</td>{_number(value)}</tr>" for what, value in counted.items())
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
    return f'<h2>What was checked</h2>\n<ul class="checks">{lines}</ul>'


def _definitions() -> str:
    terms = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in DEFINITIONS.items())
    return f"<h2>How it was measured</h2>\n<dl>{terms}</dl>"


def _number(value: float) -> str:
    return f'<td class="number">{shown(value)}</td>'


def _css(style: str) -> str:
    """The class of a style; any other text gets none, as it ends in an attribute."""
    return style if style in {"orchestrated", "choreographed"} else "muted"
