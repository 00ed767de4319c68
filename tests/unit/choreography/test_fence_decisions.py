"""The decision of the fence for every state of a key, every kind of request, and every match."""

from itertools import product

import pytest

from choreography._transaction.fence_decision import FenceDecision, KeyState, Match, RequestKind, decide

SAME, CONTENT, OPERATION = Match.SAME, Match.OTHER_CONTENT, Match.OTHER_OPERATION

TABLE: dict[tuple[KeyState | None, RequestKind], tuple[FenceDecision, ...]] = {
    # state, kind of request: (same, other content, other operation)
    (None, RequestKind.ACT): (FenceDecision.RUN_ACTION,) * 3,
    (None, RequestKind.COMPENSATE): (FenceDecision.SET_TOMBSTONE,) * 3,
    (KeyState.DONE, RequestKind.ACT): (
        FenceDecision.REPEAT_OUTCOME,
        FenceDecision.REJECT_REUSE,
        FenceDecision.REJECT_REUSE,
    ),
    (KeyState.REJECTED, RequestKind.ACT): (
        FenceDecision.REPEAT_OUTCOME,
        FenceDecision.REJECT_REUSE,
        FenceDecision.REJECT_REUSE,
    ),
    (KeyState.COMPENSATED, RequestKind.ACT): (
        FenceDecision.REJECT_VOIDED,
        FenceDecision.REJECT_VOIDED,
        FenceDecision.REJECT_REUSE,
    ),
    (KeyState.VOIDED, RequestKind.ACT): (
        FenceDecision.REJECT_VOIDED,
        FenceDecision.REJECT_VOIDED,
        FenceDecision.REJECT_REUSE,
    ),
    (KeyState.DONE, RequestKind.COMPENSATE): (
        FenceDecision.RUN_COMPENSATION,
        FenceDecision.REJECT_REUSE,
        FenceDecision.REJECT_REUSE,
    ),
    (KeyState.REJECTED, RequestKind.COMPENSATE): (
        FenceDecision.NOTHING_TO_COMPENSATE,
        FenceDecision.REJECT_REUSE,
        FenceDecision.REJECT_REUSE,
    ),
    (KeyState.COMPENSATED, RequestKind.COMPENSATE): (
        FenceDecision.REPEAT_COMPENSATED,
        FenceDecision.REJECT_REUSE,
        FenceDecision.REJECT_REUSE,
    ),
    (KeyState.VOIDED, RequestKind.COMPENSATE): (
        FenceDecision.NOTHING_TO_COMPENSATE,
        FenceDecision.REJECT_REUSE,
        FenceDecision.REJECT_REUSE,
    ),
    (None, RequestKind.VOID): (FenceDecision.SET_TOMBSTONE,) * 3,
    (KeyState.DONE, RequestKind.VOID): (
        FenceDecision.TOO_LATE_TO_VOID,
        FenceDecision.REJECT_REUSE,
        FenceDecision.REJECT_REUSE,
    ),
    (KeyState.REJECTED, RequestKind.VOID): (
        FenceDecision.TOO_LATE_TO_VOID,
        FenceDecision.REJECT_REUSE,
        FenceDecision.REJECT_REUSE,
    ),
    (KeyState.COMPENSATED, RequestKind.VOID): (
        FenceDecision.TOO_LATE_TO_VOID,
        FenceDecision.REJECT_REUSE,
        FenceDecision.REJECT_REUSE,
    ),
    (KeyState.VOIDED, RequestKind.VOID): (
        FenceDecision.NOTHING_TO_COMPENSATE,
        FenceDecision.REJECT_REUSE,
        FenceDecision.REJECT_REUSE,
    ),
}


def test_the_table_is_complete() -> None:
    """Every combination of state and kind has a row: a new state cannot be forgotten."""
    assert set(TABLE) == set(product([None, *KeyState], RequestKind))


@pytest.mark.parametrize(("state", "kind"), TABLE)
def test_every_combination_has_its_decision(state: KeyState | None, kind: RequestKind) -> None:
    """The decision depends on the state, the kind and the match only."""
    decisions = tuple(decide(state, kind, match) for match in (SAME, CONTENT, OPERATION))
    assert decisions == TABLE[state, kind]


def test_business_code_runs_only_for_a_first_effect() -> None:
    """An action runs only for a new key, and a compensation only for a done action."""
    every = list(product([None, *KeyState], RequestKind, Match))
    actions = {
        (state, kind)
        for state, kind, match in every
        if decide(state, kind, match) is FenceDecision.RUN_ACTION
    }
    compensations = {
        (state, kind, match)
        for state, kind, match in every
        if decide(state, kind, match) is FenceDecision.RUN_COMPENSATION
    }
    assert actions == {(None, RequestKind.ACT)}
    assert compensations == {(KeyState.DONE, RequestKind.COMPENSATE, SAME)}
