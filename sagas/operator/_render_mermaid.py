"""Renders the timeline of a saga as a Mermaid flowchart, with the compensation beside each step."""

from collections.abc import Iterator

from .._core.outcome import Outcome
from .._history.timeline import CompensationState, StepLine, Timeline
from ._words import OUTCOMES, RESOLUTIONS, STATES

OUTCOME_CLASSES = {
    Outcome.STARTED: "open",
    Outcome.DONE: "done",
    Outcome.REJECTED: "rejected",
    Outcome.UNKNOWN: "unknown",
    Outcome.WITHDRAWN: "rejected",
}
STATE_CLASSES = {
    CompensationState.DONE: "done",
    CompensationState.COMPLETED_MANUALLY: "done",
    CompensationState.SKIPPED: "done",
    CompensationState.FAILING: "rejected",
}
STYLES = (
    "classDef done fill:#e6f4ea,stroke:#1e8e3e,color:#000",
    "classDef rejected fill:#fce8e6,stroke:#d93025,color:#000",
    "classDef unknown fill:#fef7e0,stroke:#f9ab00,color:#000",
    "classDef open fill:#ffffff,stroke:#5f6368,color:#000,stroke-dasharray:4 3",
)
LONGEST_LABEL = 120


def render_mermaid(timeline: Timeline) -> str:
    """Renders a complete flowchart."""
    lines = ["flowchart TD", *_Flowchart().saga(timeline), *STYLES]
    return "\n".join(lines) + "\n"


class _Flowchart:
    """Numbers the nodes: the names of steps are no valid node ids."""

    def __init__(self) -> None:
        self._nodes = 0

    def saga(self, timeline: Timeline) -> Iterator[str]:
        """The nodes and edges of a saga from start to end."""
        start, end = self._node(), self._node()
        yield f"  {start}([{_label(timeline.type, timeline.id)}])"
        previous = start
        for line in timeline.steps:
            node = self._node()
            yield from self._step(line, node)
            yield f"  {previous} --> {node}"
            previous = node
        yield f"  {end}([{_label(timeline.status, timeline.reason)}])"
        yield f"  {previous} --> {end}"

    def _step(self, line: StepLine, node: str) -> Iterator[str]:
        outcome = RESOLUTIONS[line.manual_resolution] if line.manual_resolution else OUTCOMES[line.outcome]
        label = _label(line.address, f"{line.purpose}, {outcome.lower()}", line.reason)
        shape = f"{{{{{label}}}}}" if line.purpose == "pivot" else f"[{label}]"
        yield f"  {node}{shape}:::{OUTCOME_CLASSES[line.outcome]}"
        for compensation in line.compensations if line.child is None else ():
            other = self._node()
            text = _label(compensation.activity, STATES[compensation.state], compensation.reason)
            yield f"  {other}[/{text}/]:::{STATE_CLASSES.get(compensation.state, 'open')}"
            yield f"  {node} -. compensated by .-> {other}"
        for confirmation in line.confirmations if line.child is None else ():
            if confirmation.state is not CompensationState.PENDING:
                other = self._node()
                text = _label(confirmation.activity, STATES[confirmation.state], confirmation.reason)
                yield f"  {other}[{text}]:::{STATE_CLASSES.get(confirmation.state, 'open')}"
                yield f"  {node} -. confirmed by .-> {other}"
        if line.child is not None:
            group = self._node()
            yield f"  subgraph {group}[{_label(line.child.id)}]"
            yield from self.saga(line.child)
            yield "  end"
            yield f"  {node} --- {group}"

    def _node(self) -> str:
        self._nodes += 1
        return f"n{self._nodes}"


def _label(*parts: str) -> str:
    """A quoted label with a line for each part; characters with a meaning in Mermaid or HTML are escaped."""
    cut = [part if len(part) <= LONGEST_LABEL else f"{part[: LONGEST_LABEL - 1]}…" for part in parts if part]
    safe = ["".join(c if c.isalnum() or c in " -_.:,/'…" else f"#{ord(c)};" for c in part) for part in cut]
    return '"' + "<br>".join(safe) + '"'
