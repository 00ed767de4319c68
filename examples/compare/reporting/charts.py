"""Draws the charts of a comparison as SVG, in the colours of the surrounding page."""

import io
import re
from collections.abc import Callable, Mapping

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from examples.compare.measurement.figures import StyleFigures

# matplotlib gives no types to its keyword arguments.
# pyright: reportUnknownMemberType=false

# Marker colours; each is replaced by a variable of the style sheet of the page.
INK, MUTED, RULE = "#010203", "#010204", "#010205"
STYLE_COLOURS = {"orchestrated": "#010206", "choreographed": "#010207"}
SERVICES_COLOUR = "#010208"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    STYLE_COLOURS["orchestrated"]: "--orchestrated",
    STYLE_COLOURS["choreographed"]: "--choreographed",
    SERVICES_COLOUR: "--services",
}

CROWDED = 60
"""An axis that spans more than this ratio has no room for the labels 1, 2 and 5 of each decade."""


def distribution(samples: Mapping[str, tuple[float, ...]], *, name: str, label: str) -> str:
    """Draws the share of ended orders over time, with a line per style.

    Args:
        samples: Durations in milliseconds, in ascending order.
        name: The prefix of the ids inside the SVG, unique on a page.
        label: The label of the time axis.
    """

    def draw(axes: Axes) -> None:
        for style, durations in samples.items():
            if not durations:
                continue
            shares = [100 * (n + 1) / len(durations) for n in range(len(durations))]
            colour = STYLE_COLOURS[style]
            axes.step(durations, shares, where="post", color=colour, linewidth=2.2, solid_capstyle="round")
            axes.plot(durations[(len(durations) - 1) // 2], 50, "o", color=colour, markersize=5)
        axes.set_xscale("log")
        axes.set_ylim(0, 101)
        axes.set_xlabel(label)
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
        axes.xaxis.set_major_formatter(FuncFormatter(_duration))
        first, last = axes.get_xlim()
        # As many labels as there is room for.
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if last < CROWDED * first else (1, 3)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(visible=True, axis="both", color=RULE, linewidth=0.8)

    return _svg(draw, name=name, width=5.6, height=2.9)


def stacked_cpu(styles: Mapping[str, StyleFigures], *, name: str) -> str:
    """Draws the CPU time of a saga per process: a bar per style, the services last."""

    def draw(axes: Axes) -> None:
        for row, (style, figures) in enumerate(styles.items()):
            left = 0.0
            labels: list[str] = []
            for part, cpu_ms, colour, alpha in _parts(style, figures):
                axes.barh(row, cpu_ms, left=left, color=colour, alpha=alpha, height=0.5)
                labels.append(f"{part} {cpu_ms:.0f}")
                left += cpu_ms
            # Below the bar: a part may be narrower than its label.
            axes.text(0, row + 0.43, "  ·  ".join(labels), ha="left", va="center", fontsize=9, color=MUTED)
        axes.set_yticks(range(len(styles)), list(styles), fontsize=11, color=INK)
        axes.set_ylim(len(styles) - 0.3, -0.5)
        axes.set_xlabel("milliseconds of CPU per saga")
        axes.grid(visible=True, axis="x", color=RULE, linewidth=0.8)

    return _svg(draw, name=name, width=9.2, height=2.1)


def _parts(style: str, figures: StyleFigures) -> list[tuple[str, float, str, float]]:
    """Returns the name, CPU time, colour and opacity of each part of a bar."""
    own = [(name, 1.0 - 0.35 * n) for n, name in enumerate(("Temporal", "RabbitMQ", "worker"))]
    cpu = dict(figures.cpu_ms_per_saga)
    parts: list[tuple[str, float, str, float]] = []
    for name, _ in own:
        if name in cpu:
            alpha = 0.55 if name == "worker" else 1.0
            parts.append((name, cpu.pop(name), STYLE_COLOURS[style], alpha))
    return [*parts, ("services", sum(cpu.values()), SERVICES_COLOUR, 1.0)]


def _svg(draw: Callable[[Axes], None], *, name: str, width: float, height: float) -> str:
    with mpl.rc_context():
        mpl.rc("svg", fonttype="none", hashsalt=name)
        mpl.rc("font", family="sans-serif", size=10)
        mpl.rc("xtick", color=MUTED)
        mpl.rc("ytick", color=MUTED)
        mpl.rc("axes", labelcolor=MUTED)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _inline(text.getvalue(), name)


def _inline(document: str, name: str) -> str:
    """Returns the `<svg>` element alone, without references to the outside, in the colours of the page."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    # The page sets the width.
    svg = re.sub(r'(<svg[^>]*?)\s(?:width|height)="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?)\s(?:width|height)="[^"]*"', r"\1", svg)
    # Ids are unique on the whole page.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.strip()


def _percent(value: float, position: int | None) -> str:
    del position
    return f"{value:.0f} %"


def _duration(milliseconds: float, position: int | None) -> str:
    del position
    return f"{milliseconds:g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:g} s"
