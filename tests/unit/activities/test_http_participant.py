"""Calls to a participant over HTTP: the request, its limits, and the client of the caller."""

import asyncio
import base64
import json
import logging
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any, cast

import httpx
import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import HttpParticipant
from activities._http_participant import MAX_RESPONSE_BYTES
from sagas import DefinitionError, Operation
from tests.http_server import RecordingServer, recording_server

from .cinema import RESERVE_SEAT, Seat

KEY = "Idempotency-Key"
Serve = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with recording_server() as running:
        yield running


@asynccontextmanager
async def cinema(
    serve: Serve, *, timeout: timedelta = timedelta(seconds=10)
) -> AsyncIterator[HttpParticipant]:
    """A participant whose responses come from a function."""
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(serve)) as client,
        HttpParticipant("cinema", "http://cinema.test", client=client, timeout=timeout) as participant,
    ):
        yield participant


async def test_a_call_posts_the_message_with_the_key_of_the_step() -> None:
    """The operation is the path, and the message is the JSON body."""
    requests: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"row": 7})

    async with cinema(serve) as participant:
        assert await participant.call(RESERVE_SEAT, Seat(row=7), "trip-7:reserve-seat") == Seat(row=7)

    (request,) = requests
    assert (request.method, request.url.path) == ("POST", "/reserve-seat")
    assert request.headers[KEY] == "trip-7:reserve-seat"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.content) == {"row": 7}


@pytest.mark.parametrize(
    "key", ["order-7/payment:capture-payment#2", "!~", "k" * 200, "100%25", "a,b;c"], ids=lambda key: key[:9]
)
async def test_a_sendable_key_is_never_changed(server: RecordingServer, key: str) -> None:
    """At most 200 visible ASCII characters; another key would be another step for the participant."""
    async with HttpParticipant("cinema", server.url) as participant:
        await participant.call(RESERVE_SEAT, Seat(row=7), key)

    assert [request.headers[KEY] for request in server.requests] == [key]


@pytest.mark.parametrize(
    ("key", "beginning", "hash_beginning"),
    [
        ("k" * 201, "k" * 100, "ebf0ead0a3b837bc"),
        ("Käse-7:reserve-seat", "K%C3%A4se-7:reserve-seat", "3ce68eedaeeef992"),
        ("trip 7:reserve-seat", "trip%207:reserve-seat", "115deda749fa6d54"),
        (" trip-7:reserve-seat\r\n", "%20trip-7:reserve-seat%0D%0A", "25ce1b6d95fe482d"),
        ("票:reserve-seat", "%E7%A5%A8:reserve-seat", "afc4f5996a0ccc9e"),
        ("\ud800:reserve-seat", "%ED%A0%80:reserve-seat", "19dfcd9291e04475"),
    ],
    ids=ascii,
)
async def test_other_keys_are_encoded_for_a_header(
    server: RecordingServer, key: str, beginning: str, hash_beginning: str
) -> None:
    """The encoding is part of the contract: a retry by another version sends the same header."""
    async with HttpParticipant("cinema", server.url) as participant:
        await participant.call(RESERVE_SEAT, Seat(row=7), key)

    (request,) = server.requests
    assert request.headers[KEY].startswith(f"{beginning}~{hash_beginning}")
    assert re.fullmatch(r"[!-~]{1,100}~[0-9a-f]{64}", request.headers[KEY])


async def test_keys_with_the_same_beginning_stay_different(server: RecordingServer) -> None:
    """The hash covers the whole key."""
    keys = [f"{'k' * 300}:{step}" for step in ("reserve-seat", "reserve-seat#2")]
    async with HttpParticipant("cinema", server.url) as participant:
        for key in keys:
            await participant.call(RESERVE_SEAT, Seat(row=7), key)

    assert len({request.headers[KEY] for request in server.requests}) == 2


async def test_the_activity_of_an_operation_creates_the_key() -> None:
    """Activities are created only for the operations of this participant."""
    keys: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers[KEY])
        return httpx.Response(200, json={"row": 7})

    other = Operation(name="book-table", participant="diner", message=Seat, result=Seat)
    async with cinema(serve) as participant:
        (activity,) = participant.activities([RESERVE_SEAT, other])
        environment = ActivityEnvironment()
        reserve_seat = cast("Callable[[Seat], Awaitable[Seat]]", activity)
        assert await environment.run(reserve_seat, Seat(row=7)) == Seat(row=7)

    assert keys == [f"{environment.info.workflow_id}:{environment.info.activity_id}"]


@pytest.mark.parametrize(
    ("path", "requested"),
    [
        ("", "/reserve-seat"),
        ("/", "/reserve-seat"),
        ("/api/cinema", "/api/cinema/reserve-seat"),
        ("/api/cinema/", "/api/cinema/reserve-seat"),
        ("/a%2Fb/c%20d", "/a%2Fb/c%20d/reserve-seat"),
    ],
)
async def test_the_path_of_the_base_url_is_kept(server: RecordingServer, path: str, requested: str) -> None:
    """With a trailing slash or without, escaped characters included."""
    async with HttpParticipant("cinema", f"{server.url}{path}") as participant:
        assert await participant.call(RESERVE_SEAT, Seat(row=7), "key") == Seat(row=7)

    assert [request.path for request in server.requests] == [requested]


async def test_headers_and_authentication_are_sent_with_every_request(server: RecordingServer) -> None:
    """The key of the step is sent too."""
    async with HttpParticipant(
        "cinema", server.url, headers={"X-Tenant": "north"}, auth=("ada", "hunter2")
    ) as participant:
        await participant.call(RESERVE_SEAT, Seat(row=7), "first")
        await participant.call(RESERVE_SEAT, Seat(row=7), "second")

    credentials = base64.b64encode(b"ada:hunter2").decode()
    assert [
        (headers[KEY], headers["X-Tenant"], headers["Authorization"])
        for headers in (request.headers for request in server.requests)
    ] == [("first", "north", f"Basic {credentials}"), ("second", "north", f"Basic {credentials}")]


async def test_the_clients_own_headers_and_authentication_apply(server: RecordingServer) -> None:
    """Arguments of the participant override the options of the client, and a call overrides both."""
    async with httpx.AsyncClient(
        headers={"X-Tenant": "south", "X-Region": "eu", KEY: "fixed"}, auth=("bob", "secret"), trust_env=False
    ) as client:
        plain = HttpParticipant("cinema", server.url, client=client)
        await plain.call(RESERVE_SEAT, Seat(row=7), "first")
        overriding = HttpParticipant(
            "cinema", server.url, client=client, headers={"X-Tenant": "north"}, auth=("ada", "hunter2")
        )
        await overriding.call(RESERVE_SEAT, Seat(row=7), "second")

    bob, ada = (base64.b64encode(each).decode() for each in (b"bob:secret", b"ada:hunter2"))
    assert [
        (headers[KEY], headers["X-Tenant"], headers["X-Region"], headers["Authorization"])
        for headers in (request.headers for request in server.requests)
    ] == [("first", "south", "eu", f"Basic {bob}"), ("second", "north", "eu", f"Basic {ada}")]


async def test_headers_and_authentication_may_be_functions(server: RecordingServer) -> None:
    """Called for each request; the function of the headers may be asynchronous."""
    numbers = count(1)

    async def headers() -> dict[str, str]:
        return {"X-Number": str(next(numbers))}

    def sign(request: httpx.Request) -> httpx.Request:
        request.headers["X-Signature"] = f"{request.method} {request.url.path}"
        return request

    async with HttpParticipant("cinema", server.url, headers=headers, auth=sign) as participant:
        await participant.call(RESERVE_SEAT, Seat(row=7), "first")
        await participant.call(RESERVE_SEAT, Seat(row=7), "second")

    assert [(each.headers["X-Number"], each.headers["X-Signature"]) for each in server.requests] == [
        ("1", "POST /reserve-seat"),
        ("2", "POST /reserve-seat"),
    ]


@pytest.mark.parametrize("headers", [{"X-Token": "hunter2\n"}, {"traceparent": "hunter2"}], ids=repr)
async def test_unusable_headers_of_a_function_are_refused(
    server: RecordingServer, headers: dict[str, str]
) -> None:
    """The request is not sent, and the error repeats no secret."""
    async with HttpParticipant("cinema", server.url, headers=lambda: headers) as participant:
        with pytest.raises(DefinitionError, match="'cinema': ") as refused:
            await participant.call(RESERVE_SEAT, Seat(row=7), "key")

    assert "hunter2" not in str(refused.value)
    assert server.requests == []


async def test_a_token_that_cannot_be_sent_is_not_quoted(server: RecordingServer) -> None:
    """The HTTP library quotes the header of the error, with a token of the author's authentication."""

    def sign(request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = "Bearer hunter2\n"
        return request

    async with HttpParticipant("cinema", server.url, auth=sign) as participant:
        with pytest.raises(ApplicationError) as unknown:
            await participant.call(RESERVE_SEAT, Seat(row=7), "key")

    trace = "".join(traceback.format_exception(unknown.value))
    assert "did not answer 'reserve-seat': LocalProtocolError" in trace
    assert "hunter2" not in str(unknown.value)
    assert unknown.value.__cause__ is None
    assert unknown.value.__suppress_context__


async def test_credentials_of_the_url_are_sent_and_not_logged(
    server: RecordingServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The line of httpx about each request has no password."""
    caplog.set_level(logging.INFO)
    async with HttpParticipant("cinema", server.url.replace("//", "//ada:hunter2@")) as participant:
        await participant.call(RESERVE_SEAT, Seat(row=7), "key")

    (request,) = server.requests
    assert request.headers["Authorization"] == f"Basic {base64.b64encode(b'ada:hunter2').decode()}"
    assert "HTTP Request: POST http://127.0.0.1" in caplog.text
    assert "hunter2" not in caplog.text


async def test_a_call_ends_before_the_attempt() -> None:
    """The activity reports the missing response itself: nine tenths of the start-to-close timeout."""
    limits: list[float] = []

    async def serve(_: httpx.Request) -> httpx.Response:
        limits.append(participant._call_timeout())
        return httpx.Response(200, json={"row": 7})

    async with httpx.AsyncClient(transport=httpx.MockTransport(serve)) as client:
        participant = HttpParticipant("cinema", "http://cinema.test", client=client)
        for attempt in (timedelta(seconds=5), timedelta(minutes=1)):
            environment = ActivityEnvironment()
            environment.info = replace(environment.info, start_to_close_timeout=attempt)
            await environment.run(participant.call, RESERVE_SEAT, Seat(row=7), "key")

    assert limits == [4.5, 10.0]


async def test_a_client_is_shared_and_stays_open(server: RecordingServer) -> None:
    """The participant closes only a client of its own."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for name in ("cinema", "theatre"):
            async with HttpParticipant(name, f"{server.url}/{name}", client=client) as participant:
                await participant.call(RESERVE_SEAT, Seat(row=7), name)
        assert not client.is_closed

    assert [request.path for request in server.requests] == ["/cinema/reserve-seat", "/theatre/reserve-seat"]


async def test_the_participants_own_client_is_closed(server: RecordingServer) -> None:
    """No connection outlives the participant."""
    async with HttpParticipant("cinema", server.url) as participant:
        await participant.call(RESERVE_SEAT, Seat(row=7), "key")

    with pytest.raises(RuntimeError, match="closed"):
        await participant.call(RESERVE_SEAT, Seat(row=7), "key")


@pytest.mark.parametrize(
    ("base_url", "options", "reason"),
    [
        ("ftp://cinema.test", {}, "`base_url` must be http://host or https://host"),
        ("cinema.test", {}, "`base_url` must be http://host or https://host"),
        ("http:///seats", {}, "`base_url` must be http://host or https://host"),
        ("http://cinema.test:hunter2", {}, "`base_url` is not a valid URL"),
        ("http://cinema.test?row=7", {}, "`base_url` must have no query and no fragment"),
        ("http://cinema.test#seats", {}, "`base_url` must have no query and no fragment"),
        ("http://cinema.test", {"timeout": timedelta(0)}, "`timeout` must be positive"),
        ("http://cinema.test", {"headers": {"idempotency-key": "k"}}, "must not contain 'idempotency-key'"),
        ("http://cinema.test", {"headers": {"Content-Type": "text/csv"}}, "must not contain 'content-type'"),
        ("http://cinema.test", {"headers": {"traceparent": "00"}}, "must not contain 'traceparent'"),
        ("http://cinema.test", {"headers": {"X-Token": "hunter2\n"}}, "the value of 'X-Token' in `headers`"),
        ("http://cinema.test", {"headers": {"X-Token": "hunter2ä"}}, "the value of 'X-Token' in `headers`"),
        ("http://cinema.test", {"headers": {"hunter2:": "x"}}, "a name in `headers` is not a header name"),
        (
            "http://cinema.test",
            {"headers": {"Authorization": "Bearer hunter2"}, "auth": ("ada", "hunter2")},
            "give `auth` or the header 'authorization', not both",
        ),
        (
            "http://ada:hunter2@cinema.test",
            {"auth": ("ada", "hunter2")},
            "give credentials in `auth` or in `base_url`, not in both",
        ),
        ("http://cinema.test", {"client": object()}, "`client` must be an httpx.AsyncClient, not object"),
    ],
)
def test_unusable_arguments_are_refused_by_name(base_url: str, options: Any, reason: str) -> None:
    """The error names participant and argument, and repeats no secret."""
    with pytest.raises(DefinitionError) as refused:
        HttpParticipant("cinema", base_url, **options)

    assert str(refused.value).startswith("participant 'cinema': ")
    assert reason in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_an_unusable_client_is_refused_by_name() -> None:
    """A base URL in two places would be ambiguous, and a closed client can send nothing."""
    async with httpx.AsyncClient(base_url="http://elsewhere.test") as client:
        with pytest.raises(DefinitionError, match="`client` must have no base URL of its own"):
            HttpParticipant("cinema", "http://cinema.test", client=client)

    async with httpx.AsyncClient() as client:
        pass
    with pytest.raises(DefinitionError, match="'cinema': `client` is closed"):
        HttpParticipant("cinema", "http://cinema.test", client=client)


@pytest.mark.parametrize("follows", [False, True])
async def test_a_redirect_is_not_followed(*, follows: bool) -> None:
    """A payment goes only to the configured participant, whatever the option of the client."""
    urls: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        urls.append(str(request.url))
        return httpx.Response(307, headers={"Location": "http://elsewhere.test/"})

    transport = httpx.MockTransport(serve)
    async with httpx.AsyncClient(transport=transport, follow_redirects=follows) as client:
        participant = HttpParticipant("cinema", "http://cinema.test", client=client)
        with pytest.raises(ApplicationError, match="307"):
            await participant.call(RESERVE_SEAT, Seat(row=7), "key")

    assert urls == ["http://cinema.test/reserve-seat"]


@pytest.mark.parametrize("size", [MAX_RESPONSE_BYTES + 1, 5 * MAX_RESPONSE_BYTES])
async def test_an_oversized_response_is_unknown(size: int) -> None:
    """The body is not read to its end."""
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while read < size:
            read += 65_536
            yield b"7" * 65_536

    async with cinema(lambda _: httpx.Response(200, content=endless())) as participant:
        with pytest.raises(ApplicationError) as unknown:
            await participant.call(RESERVE_SEAT, Seat(row=7), "key")

    assert not unknown.value.non_retryable
    assert read <= MAX_RESPONSE_BYTES + 2 * 65_536


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
async def test_a_lost_connection_is_unknown_and_retried(error: httpx.RequestError) -> None:
    """The operation may have happened, and the key makes a retry harmless."""

    def serve(_: httpx.Request) -> httpx.Response:
        raise error

    async with cinema(serve) as participant:
        with pytest.raises(ApplicationError) as unknown:
            await participant.call(RESERVE_SEAT, Seat(row=7), "key")

    assert (unknown.value.type, unknown.value.non_retryable) == ("NoResponse", False)
    assert str(unknown.value) == f"NoResponse: participant 'cinema' did not answer 'reserve-seat': {error}"


async def test_the_timeout_limits_the_whole_call() -> None:
    """Single reads that are fast enough do not extend the call."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0)

    async with cinema(
        lambda _: httpx.Response(200, content=drip()), timeout=timedelta(milliseconds=100)
    ) as participant:
        with pytest.raises(ApplicationError) as unknown:
            await participant.call(RESERVE_SEAT, Seat(row=7), "key")

    assert (unknown.value.type, unknown.value.non_retryable) == ("NoResponse", False)
