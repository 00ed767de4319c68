"""The idempotency-key contract as a pure decision: what a request may do, given the state of the key."""

from enum import StrEnum, auto


class KeyState(StrEnum):
    """The stored state of an action. Without a row, neither action nor compensation has arrived."""

    DONE = "done"
    """The action took effect."""
    REJECTED = "rejected"
    """The action was rejected."""
    COMPENSATED = "compensated"
    """The effect of the action was compensated."""
    VOIDED = "voided"
    """A tombstone: the compensation arrived first, so the action has no effect."""


class RequestKind(StrEnum):
    """What a request asks for."""

    ACT = auto()
    COMPENSATE = auto()
    VOID = auto()
    """Prevent the action unless the action has arrived already."""


class Match(StrEnum):
    """The comparison of a request with the first request of the key."""

    SAME = auto()
    OTHER_CONTENT = auto()
    OTHER_OPERATION = auto()


class FenceDecision(StrEnum):
    """What the fence does with a request."""

    RUN_ACTION = auto()
    REPEAT_OUTCOME = auto()
    RUN_COMPENSATION = auto()
    SET_TOMBSTONE = auto()
    REPEAT_COMPENSATED = "compensated"
    NOTHING_TO_COMPENSATE = auto()
    TOO_LATE_TO_VOID = auto()
    REJECT_REUSE = auto()
    REJECT_VOIDED = auto()


_DECISIONS = {
    (RequestKind.ACT, KeyState.DONE): FenceDecision.REPEAT_OUTCOME,
    (RequestKind.ACT, KeyState.REJECTED): FenceDecision.REPEAT_OUTCOME,
    (RequestKind.ACT, KeyState.COMPENSATED): FenceDecision.REJECT_VOIDED,
    (RequestKind.ACT, KeyState.VOIDED): FenceDecision.REJECT_VOIDED,
    (RequestKind.COMPENSATE, KeyState.DONE): FenceDecision.RUN_COMPENSATION,
    (RequestKind.COMPENSATE, KeyState.REJECTED): FenceDecision.NOTHING_TO_COMPENSATE,
    (RequestKind.COMPENSATE, KeyState.COMPENSATED): FenceDecision.REPEAT_COMPENSATED,
    (RequestKind.COMPENSATE, KeyState.VOIDED): FenceDecision.NOTHING_TO_COMPENSATE,
    (RequestKind.VOID, KeyState.DONE): FenceDecision.TOO_LATE_TO_VOID,
    (RequestKind.VOID, KeyState.REJECTED): FenceDecision.TOO_LATE_TO_VOID,
    (RequestKind.VOID, KeyState.COMPENSATED): FenceDecision.TOO_LATE_TO_VOID,
    (RequestKind.VOID, KeyState.VOIDED): FenceDecision.NOTHING_TO_COMPENSATE,
}
"""The decision for a request with the operation and the content of the first request of its key."""


def decide(state: KeyState | None, kind: RequestKind, match: Match) -> FenceDecision:
    """Decides what the fence does with a request.

    Args:
        state: The state of the key; `None` for a key without a row.
        kind: The kind of the request.
        match: How the request compares with the first request; ignored for a key without a row.
    """
    if state is None:
        return FenceDecision.RUN_ACTION if kind is RequestKind.ACT else FenceDecision.SET_TOMBSTONE
    decision = _DECISIONS[kind, state]
    if match is Match.OTHER_OPERATION:
        return FenceDecision.REJECT_REUSE
    # A late action is rejected as voided even with other content: the caller must not correct and resend it.
    if match is Match.OTHER_CONTENT and decision is not FenceDecision.REJECT_VOIDED:
        return FenceDecision.REJECT_REUSE
    return decision
