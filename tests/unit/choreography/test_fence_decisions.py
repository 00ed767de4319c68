"""The key contract as a table: every state of a key, every request, every match."""

from itertools import product

import pytest

from choreography._transaction.fence import Decision, Match, Request, State, decide

SAME, CONTENT, OPERATION = Match.SAME, Match.OTHER_CONTENT, Match.OTHER_OPERATION

TABLE: dict[tuple[State | None, Request], tuple[Decision, ...]] = {
    # state, request: (same, other content, other operation)
    (None, Request.ACT): (Decision.RUN_ACTION,) * 3,
    (None, Request.COMPENSATE): (Decision.SET_TOMBSTONE,) * 3,
    (State.DONE, Request.ACT): (Decision.REPEAT_ANSWER, Decision.REFUSE_REUSE, Decision.REFUSE_REUSE),
    (State.FAILED, Request.ACT): (Decision.REPEAT_ANSWER, Decision.REFUSE_REUSE, Decision.REFUSE_REUSE),
    (State.COMPENSATED, Request.ACT): (
        Decision.REFUSE_VOIDED,
        Decision.REFUSE_VOIDED,
        Decision.REFUSE_REUSE,
    ),
    (State.FENCED, Request.ACT): (Decision.REFUSE_VOIDED, Decision.REFUSE_VOIDED, Decision.REFUSE_REUSE),
    (State.DONE, Request.COMPENSATE): (
        Decision.RUN_COMPENSATION,
        Decision.REFUSE_REUSE,
        Decision.REFUSE_REUSE,
    ),
    (State.FAILED, Request.COMPENSATE): (
        Decision.NOTHING_TO_COMPENSATE,
        Decision.REFUSE_REUSE,
        Decision.REFUSE_REUSE,
    ),
    (State.COMPENSATED, Request.COMPENSATE): (
        Decision.REPEAT_COMPENSATED,
        Decision.REFUSE_REUSE,
        Decision.REFUSE_REUSE,
    ),
    (State.FENCED, Request.COMPENSATE): (
        Decision.NOTHING_TO_COMPENSATE,
        Decision.REFUSE_REUSE,
        Decision.REFUSE_REUSE,
    ),
    (None, Request.VOID): (Decision.SET_TOMBSTONE,) * 3,
    (State.DONE, Request.VOID): (Decision.TOO_LATE_TO_VOID, Decision.REFUSE_REUSE, Decision.REFUSE_REUSE),
    (State.FAILED, Request.VOID): (Decision.TOO_LATE_TO_VOID, Decision.REFUSE_REUSE, Decision.REFUSE_REUSE),
    (State.COMPENSATED, Request.VOID): (
        Decision.TOO_LATE_TO_VOID,
        Decision.REFUSE_REUSE,
        Decision.REFUSE_REUSE,
    ),
    (State.FENCED, Request.VOID): (
        Decision.NOTHING_TO_COMPENSATE,
        Decision.REFUSE_REUSE,
        Decision.REFUSE_REUSE,
    ),
}


def test_the_table_leaves_nothing_out() -> None:
    """Every combination of state and request has its line, so a new state cannot be forgotten."""
    assert set(TABLE) == set(product([None, *State], Request))


@pytest.mark.parametrize(("state", "request_"), TABLE)
def test_every_combination_comes_to_what_the_contract_says(state: State | None, request_: Request) -> None:
    """The decision for a key depends on its row, the request and how they match, and on nothing else."""
    decisions = tuple(decide(state, request_, match) for match in (SAME, CONTENT, OPERATION))
    assert decisions == TABLE[state, request_]


def test_business_code_runs_only_where_it_can_have_a_first_effect() -> None:
    """An action runs for an unseen key only, and a compensation only for an action that is done."""
    every = list(product([None, *State], Request, Match))
    acts = {
        (state, request)
        for state, request, match in every
        if decide(state, request, match) is Decision.RUN_ACTION
    }
    undoes = {
        (state, request, match)
        for state, request, match in every
        if decide(state, request, match) is Decision.RUN_COMPENSATION
    }
    assert acts == {(None, Request.ACT)}
    assert undoes == {(State.DONE, Request.COMPENSATE, SAME)}
