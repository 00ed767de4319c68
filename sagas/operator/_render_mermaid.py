"""A saga's timeline as a Mermaid flowchart: down the left what it did, to the right what makes up for it."""

from collections.abc import Iterator

from .._core.outcome import Outcome
from .._history.timeline import StepLine, Timeline

CLASSES = {
    Outcome.STARTED: "open",
    Outcome.DONE: "done",
    Outcome.REJECTED: "rejected",
    Outcome.UNKNOWN: "unknown",
    Outcome.WITHDRAWN: "rejected",
}
STYLES = (
    "classDef done fill:#e6f4ea,stroke:#1e8e3e,color:#000",
    "classDef rejected fill:#fce8e6,stroke:#d93025,color:#000",
    "classDef unknown fill:#fef7e0,stroke:#f9ab00,color:#000",
    "classDef open fill:#ffffff,stroke:#5f6368,color:#000,stroke-dasharray:4 3",
)


def render_mermaid(timeline: Timeline) -> str:
    """The flowchart, from its first line to its last."""
    chart = _Chart()
    body = list(chart.saga(timeline))
    lines = ["flowchart TD", *body, *STYLES]
    return "\n".join(lines) + "\n"


class _Chart:
    """Gives each box an id of its own: names of steps are no ids in Mermaid."""

    def __init__(self) -> None:
        self._boxes = 0

    def saga(self, timeline: Timeline) -> Iterator[str]:
        """A saga from its beginning to its end."""
        start, end = self._box(), self._box()
        yield f"  {start}([{_text(timeline.type, timeline.id)}])"
        before = start
        for line in timeline.steps:
            box = self._box()
            yield from self._line(line, box)
            yield f"  {before} --> {box}"
            before = box
        yield f"  {end}([{_text(timeline.status, timeline.reason)}])"
        yield f"  {before} --> {end}"

    def _line(self, line: StepLine, box: str) -> Iterator[str]:
        label = _text(line.address, f"{line.purpose}, {line.by_hand or line.outcome.value}", line.reason)
        shape = f"{{{{{label}}}}}" if line.purpose == "pivot" else f"[{label}]"
        yield f"  {box}{shape}:::{CLASSES[line.outcome]}"
        for compensation in line.compensations if line.child is None else ():
            other = self._box()
            said = _text(compensation.activity, compensation.state.value, compensation.reason)
            kind = {"done": "done", "by hand": "done", "skipped": "done", "failing": "rejected"}.get(
                compensation.state.value, "open"
            )
            yield f"  {other}[/{said}/]:::{kind}"
            yield f"  {box} -. made up for by .-> {other}"
        if line.child is not None:
            group = self._box()
            yield f"  subgraph {group}[{_text(line.child.id)}]"
            yield from self.saga(line.child)
            yield "  end"
            yield f"  {box} --- {group}"

    def _box(self) -> str:
        self._boxes += 1
        return f"n{self._boxes}"


def _text(*parts: str) -> str:
    """A label in quotes, in which nothing has a meaning for Mermaid or for HTML."""
    cut = [part if len(part) <= 120 else f"{part[:119]}…" for part in parts if part]
    safe = ["".join(c if c.isalnum() or c in " -_.:,/'…" else f"#{ord(c)};" for c in part) for part in cut]
    return '"' + "<br>".join(safe) + '"'
