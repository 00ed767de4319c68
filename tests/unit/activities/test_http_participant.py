"""What the answer of a participant means, and how it is asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import HttpParticipant
from activities._http_participant import LARGEST_ANSWER
from activities._http_response import LONGEST_RETRY_AFTER, Answer, read_answer
from sagas import Operation, RejectedError


class Seat(BaseModel):
    """A seat in a row."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    row: int


RESERVE = Operation(
    name="reserve-seat",
    participant="cinema",
    message=Seat,
    result=Seat,
    rejections=frozenset({"sold_out"}),
)


def problem(code: str) -> bytes:
    return json.dumps({"code": code, "detail": f"{code}, sorry", "field": "row"}).encode()


def test_200_with_a_result_is_done() -> None:
    """The only answer that is."""
    assert read_answer(RESERVE, Answer(200, b'{"row": 7}')) == Seat(row=7)


@pytest.mark.parametrize("status", [400, 402, 403, 404, 408, 409, 422, 429])
def test_declared_code_is_a_rejection(status: int) -> None:
    """Whatever the status, if it blames the request."""
    with pytest.raises(RejectedError) as refused:
        read_answer(RESERVE, Answer(status, problem("sold_out")))

    assert (refused.value.code, refused.value.reason, refused.value.field) == (
        "sold_out",
        "sold_out, sorry",
        "row",
    )


@pytest.mark.parametrize("body", [b"", problem("gone"), b"<html>"])
def test_410_is_a_rejection_as_the_key_was_voided(body: bytes) -> None:
    """The compensation was there first: the action will never happen."""
    with pytest.raises(RejectedError) as refused:
        read_answer(RESERVE, Answer(410, body))

    assert refused.value.code == "voided"


@pytest.mark.parametrize(
    ("status", "body", "is_final"),
    [
        (200, b"", False),
        (200, b"no json", False),
        (200, b'{"row": "7"}', False),
        (200, b'{"row": 7, "more": 1}', False),
        (200, problem("sold_out"), False),
        (201, b'{"row": 7}', False),
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
def test_every_other_answer_is_unknown(status: int, body: bytes, *, is_final: bool) -> None:
    """Nobody declared that it leaves no effect; asking again helps, or it does not."""
    with pytest.raises(ApplicationError) as unknown:
        read_answer(RESERVE, Answer(status, body))

    assert unknown.value.non_retryable is is_final
    assert unknown.value.type != "Rejected"


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
def test_retry_after_is_obeyed_up_to_a_minute(header: str | None, seconds: int | None) -> None:
    """Nothing sensible counts as nothing said."""
    with pytest.raises(ApplicationError) as unknown:
        read_answer(RESERVE, Answer(503, b"", header))

    expected = None if seconds is None else timedelta(seconds=seconds)
    assert unknown.value.next_retry_delay == expected


def test_retry_after_may_be_a_date() -> None:
    """As RFC 9110 has it."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    with pytest.raises(ApplicationError) as unknown:
        read_answer(RESERVE, Answer(503, b"", date))

    delay = unknown.value.next_retry_delay
    assert delay is not None
    assert timedelta(seconds=25) < delay <= timedelta(seconds=30)


@given(status=st.integers(min_value=100, max_value=999), body=st.binary(), header=st.none() | st.text())
def test_no_answer_surprises(status: int, body: bytes, header: str | None) -> None:
    """Whatever comes back is a result, a rejection, or unknown."""
    try:
        read_answer(RESERVE, Answer(status, body, header))
    except (RejectedError, ApplicationError) as error:
        delay = getattr(error, "next_retry_delay", None)
        assert delay is None or timedelta(0) < delay <= LONGEST_RETRY_AFTER


Serve = Callable[[httpx.Request], httpx.Response]


def cinema(serve: Serve, **options: timedelta) -> HttpParticipant:
    return HttpParticipant("cinema", "http://cinema.test", transport=httpx.MockTransport(serve), **options)


async def test_participant_is_asked_with_the_key_of_the_step() -> None:
    """One POST to the operation, with the message as JSON."""
    seen: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"row": 7})

    async with cinema(serve) as participant:
        assert await participant.call(RESERVE, Seat(row=7), "trip-7:reserve-seat") == Seat(row=7)

    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/reserve-seat")
    assert request.headers["Idempotency-Key"] == "trip-7:reserve-seat"
    assert json.loads(request.content) == {"row": 7}


async def test_activity_of_an_operation_makes_its_own_key() -> None:
    """And an activity is made only for what is this participant's."""
    seen: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Idempotency-Key"])
        return httpx.Response(200, json={"row": 7})

    elsewhere = Operation(name="book-table", participant="diner", message=Seat, result=Seat)
    async with cinema(serve) as participant:
        (reserve,) = participant.activities([RESERVE, elsewhere])
        environment = ActivityEnvironment()
        reserving = cast("Callable[[Seat], Awaitable[Seat]]", reserve)
        assert await environment.run(reserving, Seat(row=7)) == Seat(row=7)

    assert seen == [f"{environment.info.workflow_id}:{environment.info.activity_id}"]


async def test_redirect_is_not_followed() -> None:
    """A payment goes where it was sent, or nowhere."""
    seen: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(307, headers={"Location": "http://elsewhere.test/"})

    async with cinema(serve) as participant:
        with pytest.raises(ApplicationError, match="307"):
            await participant.call(RESERVE, Seat(row=7), "k")

    assert seen == ["http://cinema.test/reserve-seat"]


@pytest.mark.parametrize("size", [LARGEST_ANSWER + 1, 5 * LARGEST_ANSWER])
async def test_oversized_answer_is_unknown(size: int) -> None:
    """It is not read to its end."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < size:
            read += 65_536
            yield b"7" * 65_536

    async with cinema(lambda _: httpx.Response(200, content=endless())) as participant:
        with pytest.raises(ApplicationError) as unknown:
            await participant.call(RESERVE, Seat(row=7), "k")

    assert not unknown.value.non_retryable
    assert read <= LARGEST_ANSWER + 2 * 65_536


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadError("lost"),
        httpx.RemoteProtocolError("nonsense"),
        httpx.ReadTimeout("late"),
        httpx.WriteError("lost"),
        httpx.DecodingError("not gzip"),
    ],
    ids=repr,
)
async def test_lost_connection_is_worth_another_try(error: httpx.RequestError) -> None:
    """Nobody knows whether it happened, and the key makes asking again harmless."""

    def serve(_: httpx.Request) -> httpx.Response:
        raise error

    async with cinema(serve) as participant:
        with pytest.raises(ApplicationError) as unknown:
            await participant.call(RESERVE, Seat(row=7), "k")

    assert (unknown.value.type, unknown.value.non_retryable) == ("NoAnswer", False)


async def test_slow_participant_is_given_up_in_time() -> None:
    """The whole call has one time limit, not each of its reads."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async with cinema(
        lambda _: httpx.Response(200, content=drip()), timeout=timedelta(milliseconds=100)
    ) as participant:
        with pytest.raises(ApplicationError) as unknown:
            await participant.call(RESERVE, Seat(row=7), "k")

    assert (unknown.value.type, unknown.value.non_retryable) == ("NoAnswer", False)


async def test_unreadable_answer_does_not_tell_what_was_in_it() -> None:
    """Error texts end in histories, which are kept in clear."""
    with pytest.raises(ApplicationError) as unknown:
        read_answer(RESERVE, Answer(200, b'{"row": "4111111111111111"}'))

    assert "4111111111111111" not in str(unknown.value)
