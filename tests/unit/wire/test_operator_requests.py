"""What an operator asks for is checked before a saga sees it: who and why are never left out."""

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

WHO = {"by": "mia", "because": "the line is mended"}
REQUESTS: list[tuple[type[OperatorRequest], dict[str, Any]]] = [
    (OperatorRequest, {}),
    (SkipRequest, {"step": "reserve-seat"}),
    (CompleteRequest, {"step": "payment:capture", "result": {"number": 7}}),
    (ApproveRequest, {"approval": "large-order"}),
]


@pytest.mark.parametrize(("request_type", "fields"), REQUESTS)
def test_request_comes_through_json(request_type: type[OperatorRequest], fields: dict[str, Any]) -> None:
    """As it is sent to the saga."""
    request = request_type(**WHO, **fields, roles=frozenset({"operator"}))

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
def test_request_without_who_and_why_is_refused(
    request_type: type[OperatorRequest], fields: dict[str, Any], wrong: dict[str, Any], where: str
) -> None:
    """P19: with the field that is wrong."""
    with pytest.raises(ValidationError) as refused:
        request_type.model_validate({**WHO, **fields, **wrong})

    assert [error["loc"] for error in refused.value.errors()] == [(where,)]


@pytest.mark.parametrize(("request_type", "fields"), REQUESTS)
@pytest.mark.parametrize("missing", ["by", "because"])
def test_who_and_why_have_no_default(
    request_type: type[OperatorRequest], fields: dict[str, Any], missing: str
) -> None:
    """Nobody is anonymous by oversight."""
    told = {name: value for name, value in WHO.items() if name != missing}

    with pytest.raises(ValidationError, match=missing):
        request_type.model_validate({**told, **fields})


@pytest.mark.parametrize(
    ("request_type", "missing"),
    [(SkipRequest, "step"), (CompleteRequest, "step"), (ApproveRequest, "approval")],
)
def test_what_it_is_about_is_said(request_type: type[OperatorRequest], missing: str) -> None:
    """Nothing is skipped, completed or approved in general."""
    with pytest.raises(ValidationError, match=missing):
        request_type.model_validate(WHO)


@pytest.mark.parametrize("at_the_limit", [{"by": "x" * 200}, {"by": "x"}, {"because": "x" * 2_000}])
def test_limits_belong_to_what_is_taken(at_the_limit: dict[str, str]) -> None:
    """Up to 200 and 2,000 characters."""
    OperatorRequest(**{**WHO, **at_the_limit})


def test_plain_words_of_a_request() -> None:
    """An approval says yes, a completed compensation has no result, and nobody has a role by default."""
    assert ApproveRequest(**WHO, approval="large-order").is_approved
    assert CompleteRequest(**WHO, step="pay").result is None
    assert OperatorRequest(**WHO).roles == frozenset()


def test_requests_and_the_audit_trail_do_not_change() -> None:
    """What stands in a history is what was asked."""
    note = OperatorRequest(**WHO)
    entry = AuditEntry(verb=HOLD, at="2026-01-02T03:04:05+00:00", **WHO)

    with pytest.raises(ValidationError, match="frozen"):
        note.by = "eve"  # type: ignore[misc] # it is frozen
    with pytest.raises(ValidationError, match="frozen"):
        entry.by = "eve"  # type: ignore[misc] # it is frozen
    assert AuditEntry.model_validate_json(entry.model_dump_json()) == entry


def test_verbs_are_seven_and_begin_alike() -> None:
    """An expected event cannot take the name of one."""
    verbs = {HOLD, RESUME, RETRY, SKIP, COMPLETE, COMPENSATE, APPROVE}

    assert len(verbs) == 7
    assert all(verb.startswith("saga-") for verb in verbs)


AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


@pytest.mark.parametrize(
    ("verb", "request_", "words"),
    [
        (HOLD, OperatorRequest(**WHO), "hold"),
        (SKIP, SkipRequest(**WHO, step="reserve-seat"), "skip reserve-seat"),
        (COMPLETE, CompleteRequest(**WHO, step="pay", result=7), "complete pay"),
        (APPROVE, ApproveRequest(**WHO, approval="large-order"), "approve large-order (yes)"),
        (
            APPROVE,
            ApproveRequest(**WHO, approval="large-order", is_approved=False),
            "approve large-order (no)",
        ),
    ],
)
def test_audit_entry_of_a_request(verb: str, request_: OperatorRequest, words: str) -> None:
    """The workflow and the reader of a history make the same entry, from the model and from its JSON."""
    in_workflow = AuditEntry.from_request(verb, dict(request_), AT)
    in_history = AuditEntry.from_request(verb, request_.model_dump(mode="json"), AT)

    assert in_workflow == in_history
    assert (in_workflow.at, in_workflow.by, in_workflow.because) == (
        "2026-01-02T03:04:05+00:00",
        *WHO.values(),
    )
    assert in_workflow.words == words


def test_audit_entry_has_the_defaults_of_the_request() -> None:
    """A sender in another language may leave out a field with a default."""
    entry = AuditEntry.from_request(APPROVE, {**WHO, "approval": "large-order"}, AT)

    assert entry.is_approved is True
