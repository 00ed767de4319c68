"""A saga's timeline and preview as plain text, to be read in a terminal, without colours."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from textwrap import wrap

from .._core.lifecycle import ManualResolution
from .._core.outcome import Outcome
from .._core.status import Status
from .._history.closure import CloseStatus
from .._history.ledger_rebuild import RecoveryDirection
from .._history.preview import Preview
from .._history.timeline import CompensationLine, StepLine, TaskFailure, Timeline
from ._search import SagaSummary

WIDTH = 100
"""Columns, where nobody says how many there are."""
SIGNS = {
    Outcome.STARTED: "under way",
    Outcome.DONE: "done",
    Outcome.REJECTED: "REJECTED",
    Outcome.UNKNOWN: "UNKNOWN",
    Outcome.WITHDRAWN: "withdrawn",
}
BY_HAND: dict[ManualResolution, str] = {"completed by hand": "done by hand", "skipped": "skipped"}
HEADINGS = ("step", "outcome", "tried", "at", "took", "compensation")


def render_timeline(timeline: Timeline, *, width: int = WIDTH) -> str:
    """A saga's story: how it stands, its steps, and who stepped in."""
    return _wrapped(_timeline(timeline), width)


def render_preview(preview: Preview, *, width: int = WIDTH) -> str:
    """What would be compensated now, in its order, and what would stay."""
    lines = [f"{preview.id}: {preview.sentence}."]
    if preview.compensations:
        rows = [
            (f"{number}.", each.address, each.activity, f"in lane {each.lane}" if each.lane else "")
            for number, each in enumerate(preview.compensations, start=1)
        ]
        lines += ["", *_table(rows)]
    if preview.stays:
        lines += ["", "These effects stay:"]
        for stay in preview.stays:
            why = f": {stay.because}" if stay.because else ""
            lines.append(f"  {stay.address} ({SIGNS[stay.outcome].lower()}){why}")
    if preview.left:
        lines += ["", "Done before a reset, and not since; only a rescue makes up for it:"]
        lines += _table((each.address, each.activity) for each in preview.left)
    for child in preview.unknown:
        lines += ["", f"Child {child!r} has not said what it owes; that comes on top."]
    return _wrapped(lines, width)


def render_list(sagas: Sequence[SagaSummary], *, width: int = WIDTH) -> str:
    """Sagas as a table."""
    if not sagas:
        return "no sagas\n"
    rows = [(saga.id, _standing(saga), saga.type, _moment(saga.started_at)) for saga in sagas]
    return _wrapped(_table([("saga", "status", "type", "started (UTC)"), *rows]), width)


def _standing(saga: SagaSummary) -> str:
    return f"{saga.status.upper()}, rescue {saga.rescue.upper()}" if saga.rescue else saga.status.upper()


def _timeline(timeline: Timeline) -> Iterator[str]:
    yield f"{timeline.id}  {timeline.type}  {timeline.status.upper()}"
    yield _how_it_stands(timeline)
    if timeline.fault is not None:
        yield _fault(timeline.fault)
    for wait in timeline.waits:
        until = f" (at the latest {_moment(wait.until)} UTC)" if wait.until else ""
        yield f"waits: {wait.what}{until}"
    if timeline.steps:
        yield ""
        yield from _steps(timeline)
    if timeline.verbs or timeline.cancels:
        yield ""
        yield from _who_stepped_in(timeline)
    for rescue in timeline.rescues:
        yield ""
        yield from _timeline(rescue)


def _fault(fault: TaskFailure) -> str:
    since = f"since {_moment(fault.since)} UTC"
    return f"its code fails: {fault.reason} ({since}): mend it, its workers try it again"


def _how_it_stands(timeline: Timeline) -> str:
    parts: list[str] = []
    if timeline.started_at is not None:
        parts.append(f"started {_moment(timeline.started_at)} UTC")
        if timeline.ended_at is not None and timeline.closed is not None:
            took = _span(timeline.ended_at - timeline.started_at)
            was_cut_off = timeline.closed in (CloseStatus.TERMINATED, CloseStatus.TIMED_OUT)
            parts.append(
                f"{timeline.closed.value.replace('-', ' ') if was_cut_off else 'ended'} after {took}"
            )
    if timeline.closed is None and timeline.since is not None:
        parts.append(f"{timeline.status} since {_moment(timeline.since)} UTC")
    if timeline.continued_from:
        parts.append("continued as new")
    if timeline.closed is None and timeline.way is RecoveryDirection.FORWARD:
        parts.append("past the pivot, or may be: it only goes forward")
    reason = f": {timeline.reason}" if timeline.reason else ""
    return ", ".join(parts) + reason


def _steps(timeline: Timeline) -> Iterator[str]:
    """The table of its steps and its children's; what went wrong stands under each."""
    lines = list(_lines(timeline, timeline.started_at, ""))
    table = _table([HEADINGS, *(row for row, _ in lines)])
    yield table[0]
    for text, (_, notes) in zip(table[1:], lines, strict=True):
        yield text
        for note in notes:
            yield f"      {note}"


def _lines(
    timeline: Timeline, since: datetime | None, indent: str
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    for line in timeline.steps:
        yield _row(line, since, indent), list(_notes(line))
        if line.child is not None:
            yield from _lines(line.child, since, indent + "  ")


def _row(line: StepLine, since: datetime | None, indent: str) -> tuple[str, ...]:
    name = line.address if line.purpose == "step" else f"{line.address} ({line.purpose})"
    began = f"+{_span(line.started_at - since)}" if since else ""
    took = _span(line.ended_at - line.started_at) if line.ended_at else ""
    states = ", ".join(dict.fromkeys(each.state.value for each in line.compensations))
    tried = str(line.attempts) if line.attempts else ""
    sign = BY_HAND[line.by_hand] if line.by_hand else SIGNS[line.outcome]
    return (indent + name, sign, tried, began, took, states)


def _notes(line: StepLine) -> Iterator[str]:
    if line.left_by:
        yield f"done before a reset, by run {line.left_by}"
    if line.reason:
        yield f"{line.code}: {line.reason}" if line.code else line.reason
    if line.child is not None and line.child.closed is None and line.child.status != Status.RUNNING:
        yield f"{line.child.id} is {line.child.status}"
    if line.child is not None and line.child.fault is not None:
        yield f"{line.child.id}: {_fault(line.child.fault)}"
    # What makes up for a child's steps stands with these, where the child is told of.
    for compensation in line.compensations if line.child is None else ():
        yield from _compensation_notes(compensation, is_alone=len(line.compensations) == 1)


def _compensation_notes(compensation: CompensationLine, *, is_alone: bool) -> Iterator[str]:
    what = compensation.activity if is_alone else f"{compensation.activity} of {compensation.address}"
    if compensation.reason:
        tries = f", tried {compensation.attempts} times" if compensation.attempts > 1 else ""
        yield f"{what} ({compensation.state.value}{tries}): {compensation.reason}"
    elif not is_alone:
        yield f"{what}: {compensation.state.value}"


def _who_stepped_in(timeline: Timeline) -> Iterator[str]:
    verbs = [(entry.at, entry.words, entry.by, entry.because) for entry in timeline.verbs]
    cancels = [(cancel.at.isoformat(), "cancel", "", cancel.reason) for cancel in timeline.cancels]
    for at, what, by, because in sorted([*verbs, *cancels], key=itemgetter(0)):
        who = f" by {by}" if by else ""
        why = f": {because}" if because else ""
        yield f"{_moment(datetime.fromisoformat(at))} {what}{who}{why}"


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as they need to be."""
    cells = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _wrapped(lines: Iterable[str], width: int) -> str:
    """The lines; one that is too long is broken between words, so that ids stay in one piece."""
    return "".join(f"{part}\n" for line in lines for part in _broken(line, width))


def _broken(line: str, width: int) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    broken = wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return broken or [""]


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _span(span: timedelta) -> str:
    """How long, in the unit that reads best."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86_400 else f"{seconds / 86_400:.1f} d"
