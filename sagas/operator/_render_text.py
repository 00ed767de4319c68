"""Renders timelines, previews and lists of sagas as plain text for a terminal, without colours."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from operator import itemgetter
from textwrap import wrap

from .._core.effect_class import EffectClass
from .._core.saga_outcome import RemainingEffect
from .._core.status import Status
from .._history import timeline as timeline_words
from .._history.ledger_rebuild import RecoveryDirection
from .._history.preview import Preview
from .._history.timeline import (
    FOR_OPERATOR,
    UNTIL_UNPAUSED,
    CompensationLine,
    ConfirmationLine,
    PendingWait,
    StepLine,
    TaskFailure,
    Timeline,
)
from .._wire.rescue import RESCUE_TYPE
from ._saga_list import SagaSummary
from ._words import CONFIRMATIONS, OUTCOMES, RESOLUTIONS, STATES

WIDTH = 80
"""The default number of columns."""
WAITS = {FOR_OPERATOR: "for an operator", UNTIL_UNPAUSED: "until the workflow is unpaused in Temporal"}
HEADINGS = ("step", "outcome", "attempts", "start", "duration", "compensation")
GAP = "  "


def render_timeline(timeline: Timeline, *, width: int = WIDTH) -> str:
    """Renders the status, a table of steps, and the audit trail of a saga.

    Args:
        timeline: The timeline.
        width: The number of columns. Text is wrapped between words; a longer word is never cut.
    """
    return _lines(_timeline(timeline, width), width)


def render_preview(preview: Preview, *, width: int = WIDTH) -> str:
    """Renders the compensations that would run, in order, and the remaining effects."""
    lines = [f"{preview.id}: {preview.sentence}."]
    if preview.compensations:
        rows = [
            (f"{number}.", each.address, each.activity, f"branch {each.branch}" if each.branch else "")
            for number, each in enumerate(preview.compensations, start=1)
        ]
        lines += ["", *_table(rows, width)]
    if any(each.branch for each in preview.compensations):
        lines += ["", "Branches run in parallel."]
    if preview.confirmations:
        lines += ["", "Confirmations, once the saga can no longer fail:"]
        lines += _table([(each.address, each.activity) for each in preview.confirmations], width)
    lines += _remaining_effects(preview.remaining_effects)
    if preview.superseded_compensations:
        lines += ["", "From before a reset; only a rescue compensates these steps:"]
        lines += _table([(each.address, each.activity) for each in preview.superseded_compensations], width)
    for child in preview.unresolved_children:
        lines += ["", f"The compensations of child {child!r} are unknown, and come on top."]
    return _lines(lines, width)


def _remaining_effects(effects: Sequence[RemainingEffect]) -> Iterator[str]:
    if effects:
        yield from ("", "Remaining effects:")
    for effect in effects:
        reason = f": {effect.reason}" if effect.reason else ""
        yield f"{GAP}{effect.address} ({OUTCOMES[effect.outcome].lower()}){reason}"


def render_list(sagas: Sequence[SagaSummary], *, width: int = WIDTH) -> str:
    """Renders sagas as a table."""
    if not sagas:
        return "no sagas\n"
    rows = [(saga.id, _status(saga), saga.type, _time(saga.started_at)) for saga in sagas]
    lines, *of_sagas = _layout([("saga", "status", "type", "started (UTC)"), *rows], width)
    for saga, row in zip(sagas, of_sagas, strict=True):
        lines += [*row, *(f"      waits {_wait(approval)}" for approval in saga.approvals)]
    return _lines(lines, width)


def _status(saga: SagaSummary) -> str:
    return f"{saga.status.upper()}, rescue {saga.rescue.upper()}" if saga.rescue else saga.status.upper()


def _timeline(timeline: Timeline, width: int) -> Iterator[str]:
    yield f"{timeline.id}  {timeline.type}  {timeline.status.upper()}"
    yield _progress(timeline)
    for unit in timeline.compensating_units:
        yield f"compensates {unit}, and goes on afterwards"
    if timeline.task_failure is not None:
        yield from _task_failure(timeline.task_failure)
        yield _advice(timeline)
    for wait in timeline.waits:
        yield f"waits: {_wait(wait)}"
    if timeline.steps:
        yield ""
        yield from _steps(timeline, width)
    if foreign_work := list(_foreign_work(timeline)):
        yield from ("", "Foreign work, which no saga compensates:", *foreign_work)
    yield from _remaining_effects(timeline.remaining_effects)
    if timeline.audit_trail or timeline.cancel_requests:
        yield ""
        yield from _audit_trail(timeline)
    for rescue in timeline.rescues:
        yield ""
        yield from _timeline(rescue, width)


def _wait(wait: PendingWait) -> str:
    match wait.condition:
        case timeline_words.FOR_WORKER:
            text = f"for a worker of task queue {wait.subject!r}: no worker has taken the workflow task"
        case timeline_words.UNTIL_APPROVED:
            text = f"until {wait.subject} is approved" + (f" by {wait.role}" if wait.role else "")
        case timeline_words.UNTIL_ACTIVITY_UNPAUSED:
            text = f"until activity {wait.subject} is unpaused in Temporal"
        case condition:
            text = WAITS.get(condition, condition)
    since = f" since {_time(wait.since)} UTC" if wait.since else ""
    until = f" (at the latest {_time(wait.until)} UTC)" if wait.until else ""
    return f"{text}{since}{until}" + (f": {wait.command}" if wait.command else "")


def _task_failure(failure: TaskFailure, saga_id: str = "") -> Iterator[str]:
    name = f"{saga_id}: " if saga_id else ""
    yield f"{name}the workflow code fails since {_time(failure.since)} UTC: {failure.reason}"
    for cause in failure.causes:
        yield f"{GAP}caused by {cause}"


def _advice(timeline: Timeline) -> str:
    """What an operator can do about failing code; a saga past the pivot cannot be compensated."""
    advice = "mend the code, and restart the workers"
    if timeline.recovery_direction is RecoveryDirection.BACKWARD and timeline.type != RESCUE_TYPE:
        advice += f"; or end and compensate the saga: `sagas rescue {timeline.id} --terminate`"
    return advice


def _progress(timeline: Timeline) -> str:
    parts: list[str] = []
    if timeline.started_at is not None:
        parts.append(f"started {_time(timeline.started_at)} UTC")
        if timeline.ended_at is not None and timeline.close_status is not None:
            end = (
                timeline.close_status.value.replace("-", " ")
                if timeline.close_status.is_interrupted
                else "ended"
            )
            parts.append(f"{end} after {_duration(timeline.ended_at - timeline.started_at)}")
    if timeline.close_status is None and timeline.status_at is not None:
        parts.append(f"{timeline.status} since {_time(timeline.status_at)} UTC")
    if timeline.independent_of:
        parts.append(f"independent of {timeline.independent_of}")
    if timeline.continued_from:
        parts.append("continued as new")
    if timeline.close_status is None and timeline.recovery_direction is RecoveryDirection.FORWARD:
        parts.append("pivot done or in doubt")
    reason = f": {timeline.reason}" if timeline.reason else ""
    return ", ".join(parts) + reason


def _steps(timeline: Timeline, width: int) -> Iterator[str]:
    """The table of the steps of a saga and all children, with the problems of a step below the row."""
    rows = list(_rows(timeline, timeline.started_at, ""))
    heading, *lines = _layout([HEADINGS, *(row for row, _ in rows)], width)
    yield from heading
    for row, (_, notes) in zip(lines, rows, strict=True):
        yield from row
        for note in notes:
            yield f"      {note}"


def _foreign_work(timeline: Timeline, prefix: str = "") -> Iterator[str]:
    """The foreign work of a saga and all children."""
    for work in timeline.foreign_work:
        yield f"{GAP}{prefix}{work.name} ({work.kind.value}): {OUTCOMES[work.outcome].lower()}"
    for line in timeline.steps:
        if line.child is not None:
            yield from _foreign_work(line.child, f"{prefix}{line.address}/")


def _rows(
    timeline: Timeline, since: datetime | None, indent: str
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    for line in timeline.steps:
        yield _row(line, since, indent), list(_notes(line))
        if line.child is not None:
            yield from _rows(line.child, since, indent + "  ")


def _row(line: StepLine, since: datetime | None, indent: str) -> tuple[str, ...]:
    kinds = [line.purpose] if line.purpose != "step" else []
    kinds += [line.effect.value] if line.effect is EffectClass.READ_ONLY else []
    name = "/".join((*line.sections, line.address)) + (f" ({', '.join(kinds)})" if kinds else "")
    start = f"+{_duration(line.started_at - since)}" if since else ""
    duration = _duration(line.ended_at - line.started_at) if line.ended_at else ""
    states = ", ".join(dict.fromkeys(STATES[each.state] for each in line.compensations))
    attempts = str(line.attempts) if line.attempts else ""
    outcome = RESOLUTIONS[line.manual_resolution] if line.manual_resolution else OUTCOMES[line.outcome]
    outcome = "PAUSED" if line.is_paused else outcome
    return (indent + name, outcome, attempts, start, duration, states)


def _notes(line: StepLine) -> Iterator[str]:
    if line.superseded_run_id:
        yield f"executed before a reset, by run {line.superseded_run_id}"
    if line.reason:
        yield f"{line.code}: {line.reason}" if line.code else line.reason
    if line.child is not None and line.child.close_status is None and line.child.status != Status.RUNNING:
        yield f"{line.child.id} is {line.child.status}"
    if line.child is not None:
        yield from (f"{line.child.id} waits {_wait(wait)}" for wait in line.child.waits if wait.command)
    if line.child is not None and line.child.task_failure is not None:
        yield from _task_failure(line.child.task_failure, line.child.id)
    # The rows of a child's steps have the compensations of the child.
    for compensation in line.compensations if line.child is None else ():
        yield from _compensation_notes(compensation, is_only=len(line.compensations) == 1)
    for confirmation in line.confirmations if line.child is None else ():
        yield from _confirmation_notes(confirmation, is_of_child=confirmation.address != line.address)


def _confirmation_notes(confirmation: ConfirmationLine, *, is_of_child: bool) -> Iterator[str]:
    if confirmation.state in CONFIRMATIONS:
        name = f"{confirmation.activity} of {confirmation.address}" if is_of_child else confirmation.activity
        reason = f": {confirmation.reason}" if confirmation.reason else ""
        yield f"{CONFIRMATIONS[confirmation.state].format(name)}{reason}"


def _compensation_notes(compensation: CompensationLine, *, is_only: bool) -> Iterator[str]:
    name = compensation.activity if is_only else f"{compensation.activity} of {compensation.address}"
    state = STATES[compensation.state]
    if compensation.reason:
        attempts = f", {compensation.attempts} attempts" if compensation.attempts > 1 else ""
        yield f"{name} ({state}{attempts}): {compensation.reason}"
    elif compensation.behind:
        yield f"{name} waits until {compensation.behind} is compensated or resolved"
    elif not is_only:
        yield f"{name}: {state}"


def _audit_trail(timeline: Timeline) -> Iterator[str]:
    verbs = [(entry.at, entry.words, entry.by, entry.because) for entry in timeline.audit_trail]
    cancels = [(cancel.at.isoformat(), "cancel", "", cancel.reason) for cancel in timeline.cancel_requests]
    for at, verb, by, because in sorted([*verbs, *cancels], key=itemgetter(0)):
        operator = f" by {by}" if by else ""
        reason = f": {because}" if because else ""
        yield f"{_time(datetime.fromisoformat(at))} {verb}{operator}{reason}"


def _table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    return [line for row in _layout(rows, width) for line in row]


def _layout(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """The lines of each row of a table.

    Columns are as wide as their longest cell. To fit the width, the widest columns are narrowed, at most to
    their longest word, and cells are wrapped. If the table is still too wide, each first cell has a separate
    line.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [max(map(_narrowest, column)) for column in columns]
    if len(columns) > 1 and _total(least) > width:
        rests = _layout([row[1:] for row in rows], width - len(GAP))
        return [
            [GAP + row[0], *(GAP + line for line in lines)] for row, lines in zip(rows, rests, strict=True)
        ]
    while _total(widths) > width and widths != least:
        slacks = [now - minimum for now, minimum in zip(widths, least, strict=True)]
        widths[slacks.index(max(slacks))] -= 1
    return [list(_row_lines(row, widths)) for row in rows]


def _total(widths: Sequence[int]) -> int:
    return len(GAP) * len(widths) + sum(widths)


def _narrowest(cell: str) -> int:
    """The width to which a cell can be narrowed without cutting a word, a time or a duration."""
    if cell.lstrip("+")[:1].isdigit():
        return len(cell)
    return _indent(cell) + max(map(len, cell.split()), default=0)


def _row_lines(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    cells = [_wrapped(cell, width, hanging=0) for cell, width in zip(row, widths, strict=True)]
    for parts in zip_longest(*cells, fillvalue=""):
        padded = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
        yield (GAP + GAP.join(padded)).rstrip()


def _lines(lines: Iterable[str], width: int) -> str:
    """The text of the lines, each wrapped with a hanging indent."""
    return "".join(f"{part}\n" for line in lines for part in _wrapped(line, width))


def _wrapped(line: str, width: int, *, hanging: int = 2) -> list[str]:
    """A line in parts of a width. Ids stay whole, as words and hyphenated words are never cut.

    Args:
        line: The line.
        width: The number of columns.
        hanging: The additional indentation of all parts after the first.
    """
    if len(line) <= width:
        return [line]
    indent = " " * (_indent(line) + hanging)
    return wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _duration(span: timedelta) -> str:
    seconds = max(0.0, span.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86_400 else f"{seconds / 86_400:.1f} d"
