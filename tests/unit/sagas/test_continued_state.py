"""What a saga takes along when it continues as new is, in the next run, what it was."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter

from sagas import CompensationOrder, CompensationScope
from sagas._core.activity_policy import ActivityPolicy
from sagas._core.compensation import ParallelCompensations, PendingCompensation
from sagas._core.ledger import Ledger
from sagas._core.lifecycle import Phase
from sagas._core.outcome import Outcome
from sagas._wire.continued_state import ContinuedState, LedgerSnapshot
from sagas.operator import AuditEntry

from ..ledger.oracle import Kind
from ..ledger.walks import (
    DONE,
    PLAIN,
    POLICIES,
    REJECTED,
    UNKNOWN,
    Ending,
    Scene,
    check,
    in_turn,
    opening,
    partly_made_up,
)

STEP, BARE, BEST_EFFORT, CHILD, PIVOT = Kind.STEP, Kind.BARE, Kind.BEST_EFFORT, Kind.CHILD, Kind.PIVOT
ENDINGS: dict[Kind, tuple[Ending, ...]] = {
    STEP: PLAIN,
    BARE: PLAIN,
    BEST_EFFORT: PLAIN,
    CHILD: ((DONE, ("b", ["a", "c"])), (DONE, ()), (REJECTED, ()), (UNKNOWN, ())),
    PIVOT: ((DONE, ()), (REJECTED, ())),
}
PATIENT = ActivityPolicy(
    timeout=timedelta(milliseconds=1_500), attempts=7, deadline=timedelta(hours=1), priority=2
)


def continued(ledger: Ledger, phase: Phase = Phase.FORWARD) -> ContinuedState:
    return ContinuedState(ledger=LedgerSnapshot.of(ledger, phase))


def carried_on(carried: ContinuedState) -> ContinuedState:
    """The way through the workflow's memo."""
    convert = pydantic_data_converter.payload_converter
    return convert.from_payloads(convert.to_payloads([carried]), [ContinuedState])[0]  # type: ignore[no-any-return]


def after_a_continue(scene: Scene) -> Scene:
    ledgers = tuple(carried_on(continued(ledger)).ledger.restore() for ledger in scene.ledgers)
    return Scene(scene.moment, ledgers, scene.names)


def test_ledger_says_the_same_after_it_was_carried_on() -> None:
    """P7: for every pair of steps, children and the pivot, however they have ended."""
    scenes = map(after_a_continue, in_turn(opening(), ENDINGS, 2))

    assert sum(map(check, scenes)) == 1_364


def test_ledger_goes_on_where_it_was() -> None:
    """What starts, ends and is made up for in the next run joins what the earlier one has left."""
    begun = [after_a_continue(scene) for scene in in_turn(opening(), ENDINGS, 1)]
    scenes = (
        later
        for scene in begun
        for went_on in in_turn(scene, {STEP: PLAIN, CHILD: ENDINGS[CHILD]}, 1)
        for later in ([went_on] if went_on.moment.is_past_pivot else partly_made_up(went_on.turn()))
    )

    assert sum(map(check, scenes)) == 2_392


def test_saga_that_continues_in_the_middle_of_its_compensations_goes_on_with_the_rest() -> None:
    """Which of them are through goes along."""
    scene = opening().start("seat", STEP).end("seat", (DONE, ()))
    scene = scene.start("payment", CHILD).end("payment", (DONE, ("b", ["a", "c"]))).turn()

    scenes = [after_a_continue(each) for each in partly_made_up(scene)]

    assert sum(map(check, scenes)) == 4 * 2**4


@pytest.mark.parametrize(("scope", "order"), POLICIES)
def test_addresses_go_on_counting(scope: CompensationScope, order: CompensationOrder) -> None:
    """P3: a step of the next run never has the key of one of an earlier run."""
    ledger = Ledger(scope, order)
    first = [ledger.next_address(name) for name in ("seat", "card", "seat")]

    later = carried_on(continued(ledger)).ledger.restore()

    assert first == ["seat", "card", "seat#2"]
    assert [later.next_address(name) for name in ("seat", "card", "mail")] == ["seat#3", "card#2", "mail"]
    assert (later.scope, later.order) == (scope, order)


def test_phase_goes_along() -> None:
    """P6: nothing crosses the pivot backwards, in no run."""
    before, after = continued(Ledger()), continued(Ledger(), Phase.PAST_PIVOT)

    assert [carried_on(each).is_past_pivot for each in (before, after)] == [False, True]


def test_everything_comes_out_as_it_went_in() -> None:
    """Compensations with their policies and lanes, errands, the audit trail, and what was not read yet."""
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
    ledger.complete_child("payment", (ParallelCompensations(lanes=((one,), ())), one))
    carried = ContinuedState(
        ledger=LedgerSnapshot.of(ledger, Phase.FORWARD),
        afterwards=(one,),
        by_hand={"payment:capture": "completed by hand", "seat": "skipped"},
        audit=(AuditEntry(verb="saga-hold", at="2026-01-02T03:04:05+00:00", by="mia", because="why not"),),
        unread={"visa": [{"number": "v"}, {"number": "w"}]},
        expires_at=datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
    )

    again = carried_on(carried)

    assert again.ledger.restore().pending()[-1] == one
    assert again.model_dump(mode="json") == carried.model_dump(mode="json")
    assert again.expires_at == carried.expires_at
    assert list(islice(again.ledger.entries, 2)) == ["seat", "payment"]
