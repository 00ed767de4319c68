"""Requests of operators are validated before the saga sees a request: `by` and `because` are required."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from sagas.operator import (
    APPROVE,
    COMPENSATE,
    COMPLETE,
    HOLD,
    RESUME,
    RETRY,
    SKIP,
    ApproveRequest,
    AuditEntry,
    CompleteRequest,
    OperatorRequest,
    SkipRequest,
)

BY_MIA = {"by": "mia", "because": "the line is mended"}
REQUESTS: list[tuple[type[OperatorRequest], dict[str, Any]]] = [
    (OperatorRequest, {}),
    (SkipRequest, {"step": "reserve-seat"}),
    (CompleteRequest, {"step": "payment:capture", "result": {"number": 7}}),
    (ApproveRequest, {"approval": "large-order"}),
]


@pytest.mark.parametrize(("request_type", "fields"), REQUESTS)
def test_request_comes_through_json(request_type: type[OperatorRequest], fields: dict[str, Any]) -> None:
    """The request is sent to the saga as JSON."""
    request = request_type(**BY_MIA, **fields, roles=frozenset({"operator"}))

    assert request_type.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize(("request_type", "fields"), REQUESTS)
@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"by": ""}, "by"),
        ({"by": "x" * 201}, "by"),
        ({"by": None}, "by"),
        ({"because": ""}, "because"),
        ({"because": "x" * 2_001}, "because"),
        ({"roles": "operator"}, "roles"),
        ({"force": True}, "force"),
    ],
    ids=["nobody", "too long a name", "null", "no reason", "too long a reason", "one role", "unknown field"],
)
def test_invalid_request_is_refused(
    request_type: type[OperatorRequest], fields: dict[str, Any], wrong: dict[str, Any], where: str
) -> None:
    """P19: the error names the wrong field."""
    with pytest.raises(ValidationError) as refused:
        request_type.model_validate({**BY_MIA, **fields, **wrong})

    assert [error["loc"] for error in refused.value.errors()] == [(where,)]


@pytest.mark.parametrize(("request_type", "fields"), REQUESTS)
@pytest.mark.parametrize("missing", ["by", "because"])
def test_by_and_because_are_required(
    request_type: type[OperatorRequest], fields: dict[str, Any], missing: str
) -> None:
    """An oversight cannot make an anonymous request."""
    given = {name: value for name, value in BY_MIA.items() if name != missing}

    with pytest.raises(ValidationError, match=missing):
        request_type.model_validate({**given, **fields})


@pytest.mark.parametrize(
    ("request_type", "missing"),
    [(SkipRequest, "step"), (CompleteRequest, "step"), (ApproveRequest, "approval")],
)
def test_the_subject_is_required(request_type: type[OperatorRequest], missing: str) -> None:
    """An operator skips, completes or approves a named step or approval."""
    with pytest.raises(ValidationError, match=missing):
        request_type.model_validate(BY_MIA)


@pytest.mark.parametrize("at_the_limit", [{"by": "x" * 200}, {"by": "x"}, {"because": "x" * 2_000}])
def test_limits_belong_to_the_range(at_the_limit: dict[str, str]) -> None:
    """The limits are 200 and 2,000 characters."""
    OperatorRequest(**{**BY_MIA, **at_the_limit})


def test_defaults_of_a_request() -> None:
    """An approval approves, a completed compensation has no result, and an operator has no role."""
    assert ApproveRequest(**BY_MIA, approval="large-order").is_approved
    assert CompleteRequest(**BY_MIA, step="pay").result is None
    assert OperatorRequest(**BY_MIA).roles == frozenset()


def test_requests_and_the_audit_trail_do_not_change() -> None:
    """The history keeps each request unchanged."""
    note = OperatorRequest(**BY_MIA)
    entry = AuditEntry(verb=HOLD, at="2026-01-02T03:04:05+00:00", **BY_MIA)

    with pytest.raises(ValidationError, match="frozen"):
        note.by = "eve"  # type: ignore[misc] # frozen
    with pytest.raises(ValidationError, match="frozen"):
        entry.by = "eve"  # type: ignore[misc] # frozen
    assert AuditEntry.model_validate_json(entry.model_dump_json()) == entry


def test_verbs_are_seven_and_begin_alike() -> None:
    """An expected event cannot have the name of a verb."""
    verbs = {HOLD, RESUME, RETRY, SKIP, COMPLETE, COMPENSATE, APPROVE}

    assert len(verbs) == 7
    assert all(verb.startswith("saga-") for verb in verbs)


AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.mark.parametrize(
    ("verb", "request_", "words"),
    [
        (HOLD, OperatorRequest(**BY_MIA), "hold"),
        (SKIP, SkipRequest(**BY_MIA, step="reserve-seat"), "skip reserve-seat"),
        (COMPLETE, CompleteRequest(**BY_MIA, step="pay", result=7), "complete pay"),
        (APPROVE, ApproveRequest(**BY_MIA, approval="large-order"), "approve large-order (yes)"),
        (
            APPROVE,
            ApproveRequest(**BY_MIA, approval="large-order", is_approved=False),
            "approve large-order (no)",
        ),
    ],
)
def test_audit_entry_of_a_request(verb: str, request_: OperatorRequest, words: str) -> None:
    """The workflow and the reader of a history make equal entries, from the model and from JSON."""
    in_workflow = AuditEntry.from_request(verb, dict(request_), AT)
    in_history = AuditEntry.from_request(verb, request_.model_dump(mode="json"), AT)

    assert in_workflow == in_history
    assert (in_workflow.at, in_workflow.by, in_workflow.because) == (
        "2026-01-02T03:04:05+00:00",
        *BY_MIA.values(),
    )
    assert in_workflow.words == words


def test_audit_entry_has_the_defaults_of_the_request() -> None:
    """A sender in another language may leave out a field with a default."""
    entry = AuditEntry.from_request(APPROVE, {**BY_MIA, "approval": "large-order"}, AT)

    assert entry.is_approved is True
