"""The outcome of an action after a failed activity: rejected, withdrawn, or unknown."""

from traceback import extract_tb

import pytest
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ApplicationErrorCategory,
    CancelledError,
    TerminatedError,
    TimeoutError,  # noqa: A004 - Temporal's
    TimeoutType,
)

from sagas import (
    ActivityOptions,
    CompensationRequestedError,
    DeadlineExceededError,
    DefinitionError,
    RejectedError,
    SagaError,
    UnknownOutcomeError,
)
from sagas._core.activity_outcome import ActivityOutcome
from sagas._core.outcome import Outcome
from sagas._errors import wire_type_of
from sagas._wire.failures import (
    LARGEST_CAUSE,
    LONGEST_REASON,
    compensated,
    outcome_of_failure,
    to_application_error,
    trimmed_cause,
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
        (ApplicationError("dead", type="Closed"), Outcome.UNKNOWN, True),
        (ApplicationError("no seat", type="SoldOutForEver"), Outcome.REJECTED, True),
        (TerminatedError("gone"), Outcome.UNKNOWN, False),
        (None, Outcome.UNKNOWN, False),
    ],
    ids=str,
)
def test_only_a_declared_refusal_is_a_rejection(
    cause: BaseException | None, outcome: Outcome, *, is_final: bool
) -> None:
    """After any other failure the action may have happened."""
    verdict = outcome_of_failure(
        failed(cause),
        frozenset({"SoldOut", "SoldOutForEver"}),
        attempts=5,
        non_retryable=("Closed", "SoldOutForEver"),
    )

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
    """The action was never scheduled, or was scheduled for a single attempt without a worker."""
    error = failed(CancelledError("cancelled"), scheduled=scheduled, started=started)

    assert outcome_of_failure(error, frozenset(), attempts=attempts).outcome is outcome


@pytest.mark.parametrize(
    ("kind", "code"), [(TimeoutType.SCHEDULE_TO_START, "no_worker"), (TimeoutType.SCHEDULE_TO_CLOSE, "")]
)
def test_a_missing_worker_has_a_code(kind: TimeoutType, code: str) -> None:
    """The outcome is unknown all the same: a worker may have executed an earlier attempt."""
    error = failed(TimeoutError("late", type=kind, last_heartbeat_details=[]))

    verdict = outcome_of_failure(error, frozenset(), attempts=5)

    assert (verdict.outcome, verdict.code, verdict.is_final) == (Outcome.UNKNOWN, code, False)
    assert ("no worker" in verdict.reason) is bool(code)


@pytest.mark.parametrize("field", [None, "seat.row"])
def test_rejection_comes_back_as_raised(field: str | None) -> None:
    """Code, reason and field survive the way through Temporal."""
    refused = RejectedError("sold_out", "no seat", field)

    assert outcome_of_failure(
        failed(to_application_error(refused)), frozenset(), attempts=1
    ) == ActivityOutcome(Outcome.REJECTED, code="sold_out", reason="no seat", field=field, is_final=True)


@pytest.mark.parametrize(
    ("details", "code", "field"),
    [((), "", None), (("sold_out",), "sold_out", None), (("sold_out", "seat", "more"), "sold_out", "seat")],
)
def test_rejection_of_another_sdk_may_lack_details(
    details: tuple[str, ...], code: str, field: str | None
) -> None:
    """An activity in another language may raise `Rejected` with other details."""
    error = ApplicationError("no seat", *details, type="Rejected")

    verdict = outcome_of_failure(failed(error), frozenset(), attempts=1)

    assert (verdict.outcome, verdict.code, verdict.field) == (Outcome.REJECTED, code, field)


EXPECTED = [
    RejectedError("sold_out", "no seat"),
    DeadlineExceededError("the saga"),
    CompensationRequestedError("mia", "too dear"),
]


@pytest.mark.parametrize("error", EXPECTED, ids=lambda error: type(error).__name__)
def test_a_failure_of_business_is_no_alarm(error: Exception) -> None:
    """Temporal counts a benign failure in no metric, and logs benign failures at debug level only."""
    assert compensated(error, {}).category is ApplicationErrorCategory.BENIGN
    assert compensated(error, {"book": "skipped"}).category is ApplicationErrorCategory.BENIGN


@pytest.mark.parametrize("error", [UnknownOutcomeError("book", "no answer"), ValueError("a bug")], ids=repr)
def test_an_unexpected_failure_is_an_alarm(error: Exception) -> None:
    """An operator must look at the failure, although the saga is compensated."""
    assert compensated(error, {}).category is ApplicationErrorCategory.UNSPECIFIED


def test_rejection_is_no_alarm() -> None:
    """A rejection is a correct response of the activity."""
    refused = RejectedError("sold_out", "no seat")

    assert to_application_error(refused).category is ApplicationErrorCategory.BENIGN


def test_long_reasons_are_cut() -> None:
    """Temporal would cut failures at 4 KiB, at any place."""
    error = to_application_error(RejectedError("sold_out", "x" * 10_000))

    assert len(error.message) == LONGEST_REASON


def test_long_codes_and_fields_are_cut() -> None:
    """A large rejection stays a rejection; failures of sagas have the same limits."""
    refused = RejectedError("c" * 5_000_000, "no seat", "f" * 5_000_000)

    verdict = outcome_of_failure(failed(to_application_error(refused)), frozenset(), attempts=1)

    assert verdict.outcome is Outcome.REJECTED
    assert (verdict.code, verdict.field) == ("c" * LONGEST_REASON, "f" * LONGEST_REASON)
    assert compensated(refused, {}).details == (verdict.code, "no seat", verdict.field)


def test_the_cause_of_a_failure_has_the_line_in_the_workflow() -> None:
    """The Web UI shows lines of the workflow, and none of the SDK."""
    with pytest.raises(DefinitionError) as raised:
        ActivityOptions(task_queue="")
    before = [frame.filename for frame in extract_tb(raised.value.__traceback__)]
    assert any(name.endswith("sagas/_declarations/activity_options.py") for name in before)

    cause = trimmed_cause(raised.value)

    assert cause is raised.value
    (frame,) = extract_tb(cause.__traceback__)
    assert (frame.filename, frame.line) == (__file__, 'ActivityOptions(task_queue="")')


def test_a_cause_that_would_wedge_the_workflow_is_left_out() -> None:
    """Temporal refuses a failure of more than 2 MiB, again and again."""
    assert trimmed_cause(ValueError("x" * (LARGEST_CAUSE + 1))) is None


class RefusedByUserError(SagaError):
    """An error class of a user without a `wire_type`."""


def test_renamed_error_keeps_its_name_on_the_wire() -> None:
    """Histories, brokers and databases hold the `wire_type` of an error, not the name of the class."""
    renamed = type("BadlyWrittenError", (DefinitionError,), {"wire_type": DefinitionError.wire_type})

    assert wire_type_of(renamed("no")) == "DefinitionError"
    assert compensated(renamed("no"), {}).details == ("DefinitionError", "no", None, {}, "failed")
    assert compensated(renamed(), {}).message == "DefinitionError"


def test_foreign_error_has_the_name_of_its_class() -> None:
    """A class derived from an error of this project is foreign as well."""
    assert wire_type_of(RefusedByUserError("no")) == "RefusedByUserError"
    assert wire_type_of(KeyError("no")) == "KeyError"
    assert compensated(KeyError(), {}).details[0] == "KeyError"
