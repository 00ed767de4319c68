"""The decision of the fence for every state of a key, every kind of request, and every match."""

from itertools import product

import pytest

from choreography._transaction.fence_decision import Decision, KeyState, Match, RequestKind, decide

SAME, CONTENT, OPERATION = Match.SAME, Match.OTHER_CONTENT, Match.OTHER_OPERATION

TABLE: dict[tuple[KeyState | None, RequestKind], tuple[Decision, ...]] = {
    # state, kind of request: (same, other content, other operation)
    (None, RequestKind.ACT): (Decision.RUN_ACTION,) * 3,
    (None, RequestKind.COMPENSATE): (Decision.SET_TOMBSTONE,) * 3,
    (KeyState.DONE, RequestKind.ACT): (Decision.REPEAT_OUTCOME, Decision.REJECT_REUSE, Decision.REJECT_REUSE),
    (KeyState.FAILED, RequestKind.ACT): (
        Decision.REPEAT_OUTCOME,
        Decision.REJECT_REUSE,
        Decision.REJECT_REUSE,
    ),
    (KeyState.COMPENSATED, RequestKind.ACT): (
        Decision.REJECT_VOIDED,
        Decision.REJECT_VOIDED,
        Decision.REJECT_REUSE,
    ),
    (KeyState.FENCED, RequestKind.ACT): (
        Decision.REJECT_VOIDED,
        Decision.REJECT_VOIDED,
        Decision.REJECT_REUSE,
    ),
    (KeyState.DONE, RequestKind.COMPENSATE): (
        Decision.RUN_COMPENSATION,
        Decision.REJECT_REUSE,
        Decision.REJECT_REUSE,
    ),
    (KeyState.FAILED, RequestKind.COMPENSATE): (
        Decision.NOTHING_TO_COMPENSATE,
        Decision.REJECT_REUSE,
        Decision.REJECT_REUSE,
    ),
    (KeyState.COMPENSATED, RequestKind.COMPENSATE): (
        Decision.REPEAT_COMPENSATED,
        Decision.REJECT_REUSE,
        Decision.REJECT_REUSE,
    ),
    (KeyState.FENCED, RequestKind.COMPENSATE): (
        Decision.NOTHING_TO_COMPENSATE,
        Decision.REJECT_REUSE,
        Decision.REJECT_REUSE,
    ),
    (None, RequestKind.VOID): (Decision.SET_TOMBSTONE,) * 3,
    (KeyState.DONE, RequestKind.VOID): (
        Decision.TOO_LATE_TO_VOID,
        Decision.REJECT_REUSE,
        Decision.REJECT_REUSE,
    ),
    (KeyState.FAILED, RequestKind.VOID): (
        Decision.TOO_LATE_TO_VOID,
        Decision.REJECT_REUSE,
        Decision.REJECT_REUSE,
    ),
    (KeyState.COMPENSATED, RequestKind.VOID): (
        Decision.TOO_LATE_TO_VOID,
        Decision.REJECT_REUSE,
        Decision.REJECT_REUSE,
    ),
    (KeyState.FENCED, RequestKind.VOID): (
        Decision.NOTHING_TO_COMPENSATE,
        Decision.REJECT_REUSE,
        Decision.REJECT_REUSE,
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
        (state, kind) for state, kind, match in every if decide(state, kind, match) is Decision.RUN_ACTION
    }
    compensations = {
        (state, kind, match)
        for state, kind, match in every
        if decide(state, kind, match) is Decision.RUN_COMPENSATION
    }
    assert actions == {(None, RequestKind.ACT)}
    assert compensations == {(KeyState.DONE, RequestKind.COMPENSATE, SAME)}
