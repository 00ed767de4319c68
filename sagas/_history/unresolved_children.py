"""The children that have ended and have not told their saga what they owe, so that a person has to see to it.

Of most, its own history says so: they were terminated, for one. An answer that its code could not read may be
read from the history all the same. What tells of that is that the saga is stuck, and leaves the child out.
"""

from collections.abc import Sequence

from .._core.compensation import flatten
from .._core.ids import in_parent
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.status import Status
from .closure import CloseStatus
from .saga_record import ActivityRecord, ChildRecord, SagaRecord, by_hand


def unresolved_children(record: SagaRecord) -> dict[str, str]:
    """Why an open saga does not know what children of it owe, by their addresses."""
    if record.close is not None:
        return {}
    lines = [line for line in record.lines if not line.left_by]
    settled = by_hand(record)
    children = [line for line in lines if isinstance(line, ChildRecord) and line.address not in settled]
    silent = [child for child in children if child.close and not child.close.is_a_word]
    completed = [child for child in children if child.close and child.close.owed is not None]
    unread: list[ChildRecord] = []
    if record.status == Status.STUCK and not record.has_news:
        if not record.has_turned:
            # The pivot is passed alone, and something follows it unless nobody knows what became of it.
            unread = [child for child in completed if child.is_pivot and child is lines[-1]]
        else:
            unread = _left_out(lines, completed, settled, is_explained=bool(silent))
    return {child.address: _why(child) for child in (*silent, *unread)}


def _left_out(
    lines: Sequence[ActivityRecord | ChildRecord],
    completed: Sequence[ChildRecord],
    settled: frozenset[str],
    *,
    is_explained: bool,
) -> list[ChildRecord]:
    """The children that a saga leaves out which is stuck on its way back; it does all that it can do first.

    Args:
        lines: Of the saga.
        completed: Those of its children that have completed.
        settled: What a person has settled.
        is_explained: Whether it waits for other children in any case.
    """
    efforts = [line for line in lines if isinstance(line, ActivityRecord)]
    last = {each.address: each for each in efforts if each.mark.purpose is Purpose.COMPENSATION}
    if any(last[each].verdict.outcome is not Outcome.DONE for each in last.keys() - settled):
        return []
    owing = [child for child in completed if not _owed_by(child) <= last.keys()]
    owing_nothing = [child for child in completed if not _owed_by(child)]
    if owing or is_explained:
        return owing
    # It turns round as soon as it cannot read an answer, so it was hardly an earlier one.
    return sorted(owing_nothing, key=lambda child: child.close.at if child.close else child.asked_at)[-1:]


def _owed_by(child: ChildRecord) -> set[str]:
    """The addresses of what a child says that it owes, as its parent would have them."""
    owed = child.close.owed if child.close else None
    return {in_parent(child.address, each.address) for each in flatten(owed or ())}


def _why(child: ChildRecord) -> str:
    how = child.close.how if child.close else None
    closes = (child.close, child.record and child.record.close)
    reason = next((close.reason for close in closes if close and close.reason), "")
    match how:
        case CloseStatus.COMPLETED:
            ended = "it completed with an answer that its parent could not read"
        case CloseStatus.TERMINATED:
            ended = f"it was terminated: {reason}" if reason else "it was terminated"
        case _:
            ended = reason or "its time was over"
    return f"{ended}; a person has to {'say what became of it' if child.is_pivot else 'see to what it owes'}"
