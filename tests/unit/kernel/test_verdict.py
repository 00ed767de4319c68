"""What a failed activity says about its action: rejected, withdrawn, or unknown."""

from traceback import extract_tb

import pytest
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    TerminatedError,
    TimeoutError,  # noqa: A004 - Temporal's
    TimeoutType,
)

from sagas import DefinitionError, Policy, RejectedError
from sagas._ledger import Outcome
from sagas._verdict import (
    LARGEST_CAUSE,
    LONGEST_REASON,
    Verdict,
    cause_of,
    to_application_error,
    verdict_of,
)


def failed(cause: BaseException | None, *, scheduled: int = 5, started: int = 6) -> ActivityError:
    error = ActivityError(
        "Activity task failed",
        scheduled_event_id=scheduled,
        started_event_id=started,
        identity="",
        activity_type="book",
        activity_id="book",
        retry_state=None,
    )
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "outcome", "is_final"),
    [
        (to_application_error(RejectedError("sold_out", "no seat")), Outcome.REJECTED, True),
        (ApplicationError("no seat", type="SoldOut"), Outcome.REJECTED, True),
        (ApplicationError("no seat", type="SoldOutYesterday"), Outcome.UNKNOWN, False),
        (ApplicationError("dead", type="Broken", non_retryable=True), Outcome.UNKNOWN, True),
        (ApplicationError("dead"), Outcome.UNKNOWN, False),
        (
            TimeoutError("late", type=TimeoutType.START_TO_CLOSE, last_heartbeat_details=[]),
            Outcome.UNKNOWN,
            False,
        ),
        (TerminatedError("gone"), Outcome.UNKNOWN, False),
        (None, Outcome.UNKNOWN, False),
    ],
    ids=str,
)
def test_only_a_declared_refusal_is_a_rejection(
    cause: BaseException | None, outcome: Outcome, *, is_final: bool
) -> None:
    """Whatever else went wrong, it may have happened."""
    verdict = verdict_of(failed(cause), frozenset({"SoldOut"}), attempts=5)

    assert (verdict.outcome, verdict.is_final) == (outcome, is_final)


@pytest.mark.parametrize(
    ("scheduled", "started", "attempts", "outcome"),
    [
        (0, 0, 1, Outcome.WITHDRAWN),
        (0, 0, 5, Outcome.WITHDRAWN),
        (5, 0, 1, Outcome.WITHDRAWN),
        (5, 6, 1, Outcome.UNKNOWN),
        (5, 0, 5, Outcome.UNKNOWN),
        (5, 6, 5, Outcome.UNKNOWN),
    ],
)
def test_cancelled_action_is_withdrawn_only_if_it_cannot_have_begun(
    scheduled: int, started: int, attempts: int, outcome: Outcome
) -> None:
    """Never sent, or sent for a single attempt that nobody took."""
    error = failed(CancelledError("cancelled"), scheduled=scheduled, started=started)

    assert verdict_of(error, frozenset(), attempts=attempts).outcome is outcome


@pytest.mark.parametrize("field", [None, "seat.row"])
def test_refusal_comes_back_as_it_was_raised(field: str | None) -> None:
    """Code, reason and field survive the way through Temporal."""
    refused = RejectedError("sold_out", "no seat", field)

    assert verdict_of(failed(to_application_error(refused)), frozenset(), attempts=1) == Verdict(
        Outcome.REJECTED, code="sold_out", reason="no seat", field=field, is_final=True
    )


@pytest.mark.parametrize(
    ("details", "code", "field"),
    [((), "", None), (("sold_out",), "sold_out", None), (("sold_out", "seat", "more"), "sold_out", "seat")],
)
def test_refusal_of_another_sdk_may_have_fewer_details(
    details: tuple[str, ...], code: str, field: str | None
) -> None:
    """An activity in another language says `Rejected` in its own way."""
    error = ApplicationError("no seat", *details, type="Rejected")

    verdict = verdict_of(failed(error), frozenset(), attempts=1)

    assert (verdict.outcome, verdict.code, verdict.field) == (Outcome.REJECTED, code, field)


def test_long_reasons_are_cut() -> None:
    """Temporal cuts failures at 4 KiB, in places that nobody chose."""
    error = to_application_error(RejectedError("sold_out", "x" * 10_000))

    assert len(error.message) == LONGEST_REASON


def test_the_cause_of_a_failure_says_where_in_the_workflow_it_was_raised() -> None:
    """Whoever reads it in the Web UI sees lines of the workflow, and none of the SDK's own."""
    with pytest.raises(DefinitionError) as raised:
        Policy(attempts=0)
    before = [frame.filename for frame in extract_tb(raised.value.__traceback__)]
    assert any(name.endswith("sagas/_policy.py") for name in before)

    cause = cause_of(raised.value)

    assert cause is raised.value
    (frame,) = extract_tb(cause.__traceback__)
    assert (frame.filename, frame.line) == (__file__, "Policy(attempts=0)")


def test_a_cause_that_would_wedge_the_workflow_is_left_out() -> None:
    """Temporal refuses a failure of more than 2 MiB, again and again."""
    assert cause_of(ValueError("x" * (LARGEST_CAUSE + 1))) is None
