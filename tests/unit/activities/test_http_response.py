"""The classification of HTTP responses: done, rejected, or unknown with or without a retry."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError

from activities._http_response import MAX_RETRY_AFTER, HttpResponse, read_result
from sagas import RejectedError

from .cinema import RESERVE_SEAT, Seat, problem


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
def test_2xx_with_a_result_is_done(status: int) -> None:
    """No other response is done."""
    assert read_result(RESERVE_SEAT, HttpResponse(status, b'{"row": 7}')) == Seat(row=7)


@pytest.mark.parametrize("status", [400, 402, 403, 404, 408, 409, 422, 429])
def test_a_declared_code_is_a_rejection(status: int) -> None:
    """Every status of the client-error class will do."""
    with pytest.raises(RejectedError) as rejected:
        read_result(RESERVE_SEAT, HttpResponse(status, problem("sold_out")))

    assert (rejected.value.code, rejected.value.reason, rejected.value.field) == (
        "sold_out",
        "sold_out, sorry",
        "row",
    )


@pytest.mark.parametrize("body", [b"", problem("gone"), b"<html>"])
def test_410_is_a_rejection_because_the_key_was_voided(body: bytes) -> None:
    """The compensation arrived first: the action will never have an effect."""
    with pytest.raises(RejectedError) as rejected:
        read_result(RESERVE_SEAT, HttpResponse(410, body))

    assert rejected.value.code == "voided"


@pytest.mark.parametrize(
    ("status", "body", "is_final"),
    [
        (200, b"", False),
        (200, b"no json", False),
        (200, b'{"row": "7"}', False),
        (200, b'{"row": 7, "more": 1}', False),
        (200, problem("sold_out"), False),
        (202, b"", False),
        (204, b"", False),
        (301, b"", False),
        (307, problem("sold_out"), False),
        (400, b"", True),
        (400, b"\xff\xfe", True),
        (400, b'["sold_out"]', True),
        (400, b'{"code": ["sold_out"]}', True),
        (400, problem("surprise"), True),
        (401, b"", True),
        (404, b"<html>", True),
        (409, problem("in_flight"), False),
        (409, problem("conflict"), True),
        (422, problem("key_reuse"), True),
        (408, b"", False),
        (425, b"", False),
        (429, b"", False),
        (500, b"", False),
        (500, problem("sold_out"), False),
        (502, b"<html>", False),
        (503, b"", False),
        (599, b"", False),
    ],
)
def test_every_other_response_is_unknown(status: int, body: bytes, *, is_final: bool) -> None:
    """The operation does not declare the absence of an effect; a retry helps, or does not help."""
    with pytest.raises(ApplicationError) as unknown:
        read_result(RESERVE_SEAT, HttpResponse(status, body))

    assert unknown.value.non_retryable is is_final
    assert unknown.value.type == ("UnexpectedResponse" if is_final else "NoResponse")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", None),
        ("5", 5),
        (" 5 ", 5),
        ("60", 60),
        ("61", 60),
        ("9" * 400, 60),
        ("-5", None),
        ("1.5", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 9999 07:28:00 GMT", 60),
        ("Wed, 99 Oct 9999 07:28:00 GMT", None),
    ],
)
def test_retry_after_delays_the_retry_up_to_a_minute(header: str | None, seconds: int | None) -> None:
    """A malformed header counts as absent."""
    with pytest.raises(ApplicationError) as unknown:
        read_result(RESERVE_SEAT, HttpResponse(503, b"", header))

    expected = None if seconds is None else timedelta(seconds=seconds)
    assert unknown.value.next_retry_delay == expected


def test_retry_after_may_be_a_date() -> None:
    """RFC 9110 allows seconds and dates."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    with pytest.raises(ApplicationError) as unknown:
        read_result(RESERVE_SEAT, HttpResponse(503, b"", date))

    delay = unknown.value.next_retry_delay
    assert delay is not None
    assert timedelta(seconds=25) < delay <= timedelta(seconds=30)


@given(status=st.integers(min_value=100, max_value=999), body=st.binary(), header=st.none() | st.text())
def test_every_response_has_a_classification(status: int, body: bytes, header: str | None) -> None:
    """Any status, body and header give a result, a rejection, or an unknown outcome."""
    try:
        read_result(RESERVE_SEAT, HttpResponse(status, body, header))
    except (RejectedError, ApplicationError) as error:
        delay = getattr(error, "next_retry_delay", None)
        assert delay is None or timedelta(0) < delay <= MAX_RETRY_AFTER


def test_an_unreadable_result_is_not_quoted() -> None:
    """Error texts stay in histories, unencrypted."""
    with pytest.raises(ApplicationError) as unknown:
        read_result(RESERVE_SEAT, HttpResponse(200, b'{"row": "4111111111111111"}'))

    assert "4111111111111111" not in str(unknown.value)
