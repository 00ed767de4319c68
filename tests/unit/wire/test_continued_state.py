"""The continued state of a saga is equal in the next run."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter

from sagas import CompensationOrder, CompensationScope
from sagas._core.activity_policy import ActivityPolicy
from sagas._core.compensation import ParallelCompensations, PendingCompensation, StepAfterCompensation
from sagas._core.effect_class import EffectClass
from sagas._core.ledger import Ledger
from sagas._core.lifecycle import Phase
from sagas._core.outcome import Outcome
from sagas._wire.continued_state import ContinuedState, LedgerSnapshot
from sagas.operator import AuditEntry

from ..ledger.oracle import StepKind
from ..ledger.saga_enumeration import (
    CLOSED_ENDINGS,
    DONE,
    POLICIES,
    REJECTED,
    UNKNOWN,
    CheckedState,
    Ending,
    check,
    initial_state,
    partly_compensated,
    sequential_states,
)

STEP, BARE, READ_ONLY, BEST_EFFORT, CHILD, PIVOT = (
    StepKind.STEP,
    StepKind.BARE,
    StepKind.READ_ONLY,
    StepKind.BEST_EFFORT,
    StepKind.CHILD,
    StepKind.PIVOT,
)
ENDINGS: dict[StepKind, tuple[Ending, ...]] = {
    STEP: CLOSED_ENDINGS,
    BARE: CLOSED_ENDINGS,
    READ_ONLY: CLOSED_ENDINGS,
    BEST_EFFORT: CLOSED_ENDINGS,
    CHILD: ((DONE, ("b", ["a", "c"])), (DONE, ()), (REJECTED, ()), (UNKNOWN, ())),
    PIVOT: ((DONE, ()), (REJECTED, ())),
}
PATIENT = ActivityPolicy(
    start_to_close_timeout=timedelta(milliseconds=1_500),
    maximum_attempts=7,
    schedule_to_close_timeout=timedelta(hours=1),
    priority_key=2,
)


def continued(ledger: Ledger, phase: Phase = Phase.FORWARD) -> ContinuedState:
    return ContinuedState(ledger=LedgerSnapshot.of(ledger, phase))


def carried_on(carried: ContinuedState) -> ContinuedState:
    """The state after the way through the memo of the workflow."""
    convert = pydantic_data_converter.payload_converter
    return convert.from_payloads(convert.to_payloads([carried]), [ContinuedState])[0]  # type: ignore[no-any-return]


def after_a_continue(state: CheckedState) -> CheckedState:
    ledgers = tuple(carried_on(continued(ledger)).ledger.restore() for ledger in state.ledgers)
    return CheckedState(state.saga, ledgers, state.names)


def test_ledger_is_equal_after_a_continue_as_new() -> None:
    """P7: for every pair of steps, children and the pivot, with every outcome."""
    states = map(after_a_continue, sequential_states(initial_state(), ENDINGS, 2))

    assert sum(map(check, states)) == 2_020


def test_ledger_goes_on_where_it_was() -> None:
    """Steps and compensations of the next run continue the ledger of the earlier run."""
    begun = [after_a_continue(state) for state in sequential_states(initial_state(), ENDINGS, 1)]
    states = (
        later
        for state in begun
        for went_on in sequential_states(state, {STEP: CLOSED_ENDINGS, CHILD: ENDINGS[CHILD]}, 1)
        for later in (
            [went_on] if went_on.saga.is_past_pivot else partly_compensated(went_on.start_compensating())
        )
    )

    assert sum(map(check, states)) == 2_696


def test_saga_that_continues_in_the_middle_of_its_compensations_goes_on_with_the_rest() -> None:
    """The ledger keeps the done compensations."""
    state = initial_state().start("seat", STEP).end("seat", (DONE, ()))
    state = state.start("payment", CHILD).end("payment", (DONE, ("b", ["a", "c"]))).start_compensating()

    states = [after_a_continue(each) for each in partly_compensated(state)]

    assert sum(map(check, states)) == 4 * 2**4


@pytest.mark.parametrize(("scope", "order"), POLICIES)
def test_addresses_go_on_counting(scope: CompensationScope, order: CompensationOrder) -> None:
    """P3: a step of the next run never has the key of a step of an earlier run."""
    ledger = Ledger(scope, order)
    first = [ledger.next_address(name) for name in ("seat", "card", "seat")]

    later = carried_on(continued(ledger)).ledger.restore()

    assert first == ["seat", "card", "seat#2"]
    assert [later.next_address(name) for name in ("seat", "card", "mail")] == ["seat#3", "card#2", "mail"]
    assert (later.scope, later.order) == (scope, order)


def test_phase_is_kept() -> None:
    """P6: a saga past the pivot stays past the pivot in every run."""
    before, after = continued(Ledger()), continued(Ledger(), Phase.PAST_PIVOT)

    assert [carried_on(each).is_past_pivot for each in (before, after)] == [False, True]


def test_every_field_is_kept() -> None:
    """Compensations with policies and branches, later actions, the audit trail, and unconsumed events."""
    one = PendingCompensation(
        address="seat",
        activity="free",
        arguments=("m", {"n": 7}),
        takes_result=True,
        task_queue="cinema",
        policy=PATIENT,
    )
    ledger = Ledger()
    ledger.start("seat", one)
    ledger.fail("seat", Outcome.UNKNOWN)
    ledger.start("payment", is_child=True)
    ledger.complete_child("payment", (ParallelCompensations(branches=((one,), ())), one))
    carried = ContinuedState(
        ledger=LedgerSnapshot.of(ledger, Phase.FORWARD),
        after_compensation=(
            StepAfterCompensation(
                address="tell", activity="tell", arguments=("m",), effect=EffectClass.IRREVERSIBLE
            ),
        ),
        manual_resolutions={"payment:capture": "completed-manually", "seat": "skipped"},
        audit_trail=(
            AuditEntry(verb="saga-hold", at="2026-01-02T03:04:05+00:00", by="mia", because="why not"),
        ),
        unconsumed_events={"visa": [{"number": "v"}, {"number": "w"}]},
        deadline=datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
    )

    again = carried_on(carried)

    assert again.ledger.restore().pending()[-1] == one
    assert again.model_dump(mode="json") == carried.model_dump(mode="json")
    assert again.deadline == carried.deadline
    assert list(islice(again.ledger.entries, 2)) == ["seat", "payment"]
