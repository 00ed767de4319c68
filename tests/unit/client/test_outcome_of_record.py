"""The outcome of a saga, derived from a record without a server."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter

from sagas import StartError
from sagas._client.outcome_of_record import manual_resolutions, outcome_of_record
from sagas._core.saga_outcome import Compensated, Completed, CutOff, ResolvedStep, Settled
from sagas._errors import CompensationRequestedError, RejectedError
from sagas._history.closure import Closure, ClosureReader
from sagas._history.event_values import PayloadReader
from sagas._history.parser import read_history
from sagas._history.saga_record import ChildRecord, SagaRecord, VerbRecord
from sagas._wire.continued_state import ContinuedState, LedgerSnapshot
from sagas._wire.failures import SAGA_COMPENSATED, SAGA_REFUSED, SAGA_SETTLED, compensated
from sagas.operator import COMPLETE, SKIP, AuditEntry, CloseStatus
from tests.histories.folders import CURRENT

FOLDER = CURRENT / "operator_views"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


def closed(status: CloseStatus, **about: Any) -> Closure:
    return Closure(status=status, closed_at=NOW, **about)


def record(closure: Closure, **about: Any) -> SagaRecord:
    return SagaRecord("trip-1", run_id="r", closure=closure, started_at=NOW, **about)


def verb(name: str, address: str) -> VerbRecord:
    entry = AuditEntry(verb=name, at=NOW.isoformat(), by="mia", because="x", target=address)
    return VerbRecord(entry=entry, executed_at=NOW)


def stored(name: str) -> SagaRecord:
    """A record, read from a stored history."""

    def events(of: str) -> list[HistoryEvent]:
        return list(WorkflowHistory.from_json(of, (FOLDER / f"{of}.json").read_text()).events)

    saga_id = events(name)[0].workflow_execution_started_event_attributes.workflow_id
    read = read_history(saga_id, events(name), pydantic_data_converter)
    for child in read.children:
        child.record = read_history(child.id, events("settled-leg"), pydantic_data_converter)
    return read


def test_stored_history_of_a_settled_saga_gives_the_resolution_and_its_effect() -> None:
    """The error of the saga reports the resolution."""
    outcome = outcome_of_record(stored("settled"))

    assert isinstance(outcome, Settled)
    assert (outcome.result, outcome.is_compensated) == (None, True)
    assert outcome.manual_resolutions == {"book-flight": "skipped"}
    assert [each.reason for each in outcome.remaining_effects if each.reason] == [
        "skipped by mia: a credit note was sent"
    ]


def test_stored_history_of_a_terminated_saga_gives_its_pending_compensations() -> None:
    """The newest compensation comes first, as in a rescue."""
    outcome = outcome_of_record(stored("terminated"))

    assert isinstance(outcome, CutOff)
    assert (outcome.how, outcome.reason) == ("terminated", "by mistake")
    assert [each.address for each in outcome.pending_compensations] == ["book-flight", "book-hotel"]


FAILED = closed(CloseStatus.FAILED, error_type="Planned", code="Planned", reason="no")
REFUSED = closed(
    CloseStatus.FAILED, error_type=SAGA_REFUSED, code=SAGA_REFUSED, reason="it has a run timeout"
)
CANCELLED = closed(CloseStatus.CANCELED, code="cancelled", reason="it was cancelled")
TERMINATED = closed(CloseStatus.TERMINATED, reason="by mistake")
SOLD_OUT = closed(
    CloseStatus.FAILED, error_type=SAGA_COMPENSATED, code="sold_out", reason="no", input_field="seat"
)


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (record(SOLD_OUT, status="compensated"), Compensated("sold_out", reason="no", field="seat")),
        (record(FAILED), CutOff(how="failed", code="Planned", reason="no")),
        (record(TERMINATED), CutOff(how="terminated", reason="by mistake")),
        (record(closed(CloseStatus.TIMED_OUT)), CutOff(how="timed-out")),
        (
            record(CANCELLED, status="compensated"),
            Compensated("cancelled", reason="it was cancelled", is_cancelled=True),
        ),
        (
            record(CANCELLED, cancel_requests=[(NOW, "why"), (NOW, "")]),
            Compensated("cancelled", reason="why", is_cancelled=True),
        ),
        (
            record(CANCELLED, status="completed"),
            CutOff(how="failed", code="cancelled", reason="it was cancelled", has_completed=True),
        ),
        (
            record(TERMINATED, status="completed"),
            CutOff(how="terminated", reason="by mistake", has_completed=True),
        ),
        (record(TERMINATED, status="compensated"), Compensated("terminated", reason="by mistake")),
        (record(FAILED, status="compensated"), Compensated("Planned", reason="no")),
        (
            record(TERMINATED, rescues=[SagaRecord("trip-1~rescue", closure=closed(CloseStatus.COMPLETED))]),
            Compensated("terminated", reason="by mistake", rescue_id="trip-1~rescue"),
        ),
        (
            record(
                closed(CloseStatus.TIMED_OUT),
                rescues=[
                    SagaRecord(
                        "trip-1~rescue", closure=closed(CloseStatus.COMPLETED), verbs=[verb(SKIP, "a")]
                    )
                ],
            ),
            Settled(
                None,
                "timed_out",
                is_compensated=True,
                manual_resolutions={"a": "skipped"},
                resolved_steps=(ResolvedStep(address="a", resolution="skipped", by="mia", because="x"),),
                rescue_id="trip-1~rescue",
            ),
        ),
        (
            record(REFUSED, continued_state=ContinuedState(ledger=LedgerSnapshot())),
            CutOff(how="failed", code=SAGA_REFUSED, reason="it has a run timeout"),
        ),
    ],
    ids=lambda value: "" if isinstance(value, SagaRecord) else type(value).__name__,
)
def test_record_gives_the_outcome(read: SagaRecord, outcome: Compensated | Settled[None] | CutOff) -> None:
    """Derived from the close, the status, the cancel requests and the rescues."""
    assert outcome_of_record(read) == outcome


def test_terminated_child_with_a_completed_saga_has_not_completed() -> None:
    """The parent may still compensate the child."""
    outcome = outcome_of_record(record(TERMINATED, status="completed", parent="trip-0"))

    assert outcome == CutOff(how="terminated", reason="by mistake")


def test_rescue_of_an_earlier_saga_with_the_same_id_does_not_count() -> None:
    """The rescue began before the saga."""
    earlier = SagaRecord("trip-1~rescue", started_at=NOW, closure=closed(CloseStatus.COMPLETED))
    read = record(TERMINATED, rescues=[earlier])
    read.started_at = LATER

    assert outcome_of_record(read) == CutOff(how="terminated", reason="by mistake")


def test_refused_saga_raises_a_start_error() -> None:
    """The error tells the reason."""
    with pytest.raises(StartError, match="'trip-1' was refused before its first step: it has a run timeout"):
        outcome_of_record(record(REFUSED))


def test_workflow_that_handles_the_failure_leaves_no_code() -> None:
    """The history has no failure with a code; manual resolutions are in the history."""
    done = closed(CloseStatus.COMPLETED)

    for_nothing = outcome_of_record(record(done, status="compensated"))
    by_person = outcome_of_record(
        record(done, status="settled", has_compensated=True, verbs=[verb(COMPLETE, "book-hotel")])
    )

    reason = "the workflow handled the failure of its saga and returned a result"
    assert for_nothing == Compensated("", reason=reason)
    assert by_person == Settled(
        is_compensated=True,
        manual_resolutions={"book-hotel": "completed-manually"},
        resolved_steps=(
            ResolvedStep(address="book-hotel", resolution="completed-manually", by="mia", because="x"),
        ),
        reason=reason,
    )


@pytest.mark.parametrize(
    ("code", "cancels", "is_cancelled"),
    [
        ("cancelled", [(NOW, "why")], True),
        # A child of it was cancelled alone.
        ("cancelled", [], False),
        # The cancel came when the saga compensated already.
        ("sold_out", [(NOW, "why")], False),
    ],
)
def test_settled_saga_was_cancelled_if_the_cancel_was_the_first_failure(
    code: str, cancels: list[tuple[datetime, str]], *, is_cancelled: bool
) -> None:
    """A settled saga closes as failed, to report the manual resolutions."""
    close = closed(
        CloseStatus.FAILED, error_type=SAGA_SETTLED, code=code, manual_resolutions={"a": "skipped"}
    )

    outcome = outcome_of_record(record(close, cancel_requests=cancels))

    assert isinstance(outcome, Settled)
    assert outcome.is_cancelled is is_cancelled


def test_manual_resolutions_include_children_and_earlier_runs() -> None:
    """Addresses are the parent's."""
    leg = record(closed(CloseStatus.COMPLETED), parent="trip-1", verbs=[verb(COMPLETE, "fees:charge")])
    failed_leg = record(
        closed(CloseStatus.FAILED, error_type=SAGA_SETTLED, manual_resolutions={"book-car": "skipped"}),
        parent="trip-1",
        verbs=[verb(SKIP, "book-car")],
    )
    open_leg = SagaRecord("trip-1/open", verbs=[verb(SKIP, "x")])
    read = record(
        closed(CloseStatus.COMPLETED),
        continued_state=ContinuedState(ledger=LedgerSnapshot(), manual_resolutions={"earlier": "skipped"}),
        verbs=[verb(COMPLETE, "book-hotel"), verb("saga-hold", "")],
        scheduled=[
            ChildRecord(address="leg", id="trip-1/leg", initiated_at=NOW, record=leg),
            ChildRecord(address="leg-2", id="trip-1/leg-2", initiated_at=NOW, record=failed_leg),
            ChildRecord(address="open", id="trip-1/open", initiated_at=NOW, record=open_leg),
            ChildRecord(address="unread", id="trip-1/unread", initiated_at=NOW),
        ],
    )

    assert manual_resolutions(read) == {
        "earlier": "skipped",
        "book-hotel": "completed-manually",
        "leg/fees:charge": "completed-manually",
        "leg-2:book-car": "skipped",
    }


def closure_of(error: BaseException) -> Closure:
    """The closure of a workflow that failed with an error."""
    failure = Failure()
    converter = pydantic_data_converter
    converter.failure_converter.to_failure(error, converter.payload_converter, failure)
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
    event.workflow_execution_failed_event_attributes.failure.CopyFrom(failure)
    closure = ClosureReader(PayloadReader(converter)).read_own(event, is_child=False)
    assert closure is not None
    return closure


def test_error_of_a_saga_is_read_with_all_its_details() -> None:
    """Code, reason, field and manual resolutions."""
    refused = closure_of(compensated(RejectedError("sold_out", "sorry", "seat"), {"a": "skipped"}))
    asked = closure_of(compensated(CompensationRequestedError("mia", "x"), {}))

    assert (refused.error_type, refused.code, refused.reason, refused.input_field) == (
        *(SAGA_SETTLED, "sold_out", "sorry", "seat"),
    )
    assert refused.manual_resolutions == {"a": "skipped"}
    assert (asked.error_type, asked.code, asked.input_field) == (
        SAGA_COMPENSATED,
        "compensation_requested",
        None,
    )
    assert asked.manual_resolutions == {}


def test_error_of_a_saga_with_fewer_details_is_read() -> None:
    """Another SDK may leave details out."""
    event = HistoryEvent(event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED)
    failure = event.workflow_execution_failed_event_attributes.failure
    failure.message, failure.application_failure_info.type = "no seat", SAGA_COMPENSATED
    failure.application_failure_info.details.payloads.append(
        Payload(metadata={"encoding": b"json/plain"}, data=b'"sold_out"')
    )
    closure = ClosureReader(PayloadReader(pydantic_data_converter)).read_own(event, is_child=False)

    assert closure is not None
    assert outcome_of_record(record(closure)) == Compensated("sold_out", reason="no seat")


def test_only_result_and_code_are_positional() -> None:
    """Attributes can be added without breaking a `match`."""
    assert Completed.__match_args__ == ("result",)
    assert Compensated.__match_args__ == ("code",)
    assert Settled.__match_args__ == ("result", "code")
    assert CutOff.__match_args__ == ()


@pytest.mark.parametrize(
    "outcome",
    [
        Completed(7),
        Compensated("sold_out"),
        Settled(7, is_compensated=False, manual_resolutions={}),
        CutOff(how="failed"),
    ],
    ids=lambda outcome: type(outcome).__name__,
)
def test_outcomes_are_frozen_and_have_remaining_effects(
    outcome: Completed[int] | Compensated | Settled[int] | CutOff,
) -> None:
    """Each outcome has slots and `remaining_effects`."""
    assert outcome.remaining_effects == ()
    assert not hasattr(outcome, "__dict__")
    with pytest.raises(FrozenInstanceError):
        outcome.remaining_effects = ()  # type: ignore[misc]
