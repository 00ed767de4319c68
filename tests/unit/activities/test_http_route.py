"""Routes: method, path, query and body of a request, and rejections in statuses and bodies."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import NoneType
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer
from temporalio.exceptions import ApplicationError

from activities import HttpAnswer, HttpParticipant, HttpRoute
from activities._http_participant import MAX_RESPONSE_BYTES
from sagas import DefinitionError, Operation, RejectedError

from .cinema import RESERVE_SEAT, Seat


class Booking(BaseModel):
    """A message with fields for paths, queries and bodies."""

    id: str
    row: int = 7
    names: list[str] = []
    is_paid: bool = False
    pin: SecretStr | None = None

    @field_serializer("pin", when_used="json-unless-none")
    def _reveal(self, pin: SecretStr) -> str:
        return pin.get_secret_value()


BOOK = Operation(
    name="book",
    participant="cinema",
    message=Booking,
    result=Seat,
    rejections=frozenset({"sold_out", "https://cinema.test/closed"}),
)
CANCEL = Operation(name="cancel", participant="cinema", message=Booking, result=NoneType)
DONE = httpx.Response(200, json={"row": 7})
NOTHING = httpx.Response(204)


@asynccontextmanager
async def cinema(
    answer: httpx.Response, routes: dict[Operation[Any, Any], HttpRoute]
) -> AsyncIterator[tuple[HttpParticipant, list[httpx.Request]]]:
    """A participant with one answer, and the received requests."""
    requests: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(serve)) as client:
        yield HttpParticipant("cinema", "http://cinema.test/v1", client=client, routes=routes), requests


async def request_of(route: HttpRoute, message: Booking) -> httpx.Request:
    async with cinema(NOTHING, {CANCEL: route}) as (participant, requests):
        await participant.call(CANCEL, message, "key")
    return requests[0]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_fields_of_the_path_and_the_query_are_not_in_the_body(method: str) -> None:
    """The remaining fields are the JSON body."""
    route = HttpRoute(method, "/bookings/{id}", query=("row",))
    request = await request_of(route, Booking(id="b7", pin=SecretStr("1234")))

    assert (request.method, str(request.url)) == (method, "http://cinema.test/v1/bookings/b7?row=7")
    assert json.loads(request.content) == {"names": [], "is_paid": False, "pin": "1234"}
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == "key"


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_request_without_a_body_has_the_fields_of_the_route_only(method: str) -> None:
    """A list is one parameter for each member."""
    route = HttpRoute(method, "/bookings", query=("names", "is_paid"))
    request = await request_of(route, Booking(id="b7", names=["Zoë", "a&b"]))

    assert str(request.url) == "http://cinema.test/v1/bookings?names=Zo%C3%AB&names=a%26b&is_paid=false"
    assert request.content == b""
    assert "Content-Type" not in request.headers


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a/b", "/v1/bookings/a%2Fb"),
        ("../x?y#z", "/v1/bookings/..%2Fx%3Fy%23z"),
        ("ä %", "/v1/bookings/%C3%A4%20%25"),
    ],
)
async def test_a_value_stays_one_segment_of_the_path(value: str, path: str) -> None:
    """No value leads to another path."""
    request = await request_of(HttpRoute("DELETE", "/bookings/{id}"), Booking(id=value))
    assert request.url.raw_path.decode() == path


@pytest.mark.parametrize(
    ("route", "value", "reason"),
    [
        (HttpRoute("DELETE", "/bookings/{id}"), "", "field 'id' is empty or only dots"),
        (HttpRoute("DELETE", "/bookings/{id}"), "..", "field 'id' is empty or only dots"),
        (HttpRoute("DELETE", "/bookings/{id}"), "4" * 70_000, "the URL is too long"),
        (HttpRoute("DELETE", "/bookings/{names}"), "4111", "field 'names' is neither text nor a number"),
    ],
)
async def test_a_value_that_no_url_can_have_is_not_sent(route: HttpRoute, value: str, reason: str) -> None:
    """The outcome is final, and the error does not quote the value."""
    async with cinema(NOTHING, {CANCEL: route}) as (participant, requests):
        with pytest.raises(ApplicationError, match=reason) as unknown:
            await participant.call(CANCEL, Booking(id=value, names=["4111"]), "key")

    assert (unknown.value.type, unknown.value.non_retryable) == ("UnsendableMessage", True)
    assert "4111" not in str(unknown.value)
    assert requests == []


@pytest.mark.parametrize(
    "answer", [NOTHING, httpx.Response(200, text="<p>ok"), httpx.Response(202)], ids=repr
)
async def test_an_operation_without_a_result_is_done_with_any_body(answer: httpx.Response) -> None:
    """Every 2xx counts."""
    async with cinema(answer, {}) as (participant, _):
        await participant.call(CANCEL, Booking(id="b7"), "key")


async def test_an_empty_or_oversized_body_is_no_result() -> None:
    """An operation with a result needs the result."""
    big = httpx.Response(200, content=b"7" * (MAX_RESPONSE_BYTES + 1))
    for answer in (httpx.Response(204), big):
        async with cinema(answer, {}) as (participant, _):
            with pytest.raises(ApplicationError) as unknown:
                await participant.call(BOOK, Booking(id="b7"), "key")
        assert (unknown.value.type, unknown.value.non_retryable) == ("NoResponse", False)


async def outcome(answer: httpx.Response, **options: Any) -> object:
    """The result of a booking, or the code, the reason and the field, or the type of the error."""
    async with cinema(answer, {BOOK: HttpRoute("POST", "/bookings", **options)}) as (participant, _):
        try:
            return await participant.call(BOOK, Booking(id="b7"), "key")
        except RejectedError as error:
            return error.code, error.reason, error.field
        except ApplicationError as error:
            return error.type


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (409, {"detail": "no seat"}, ("sold_out", "no seat", None)),
        (409, "<html>", ("sold_out", "participant 'cinema' answered 409", None)),
        (
            409,
            {"detail": [{"loc": ["body", "row"], "msg": "too large", "input": "4111"}]},
            ("sold_out", "row: too large", "row"),
        ),
        (409, {"detail": {"code": "x", "message": "full"}}, ("sold_out", "full", None)),
        (422, {"detail": {"code": "sold_out", "message": "full"}}, ("sold_out", "full", None)),
        (
            403,
            {"type": "https://cinema.test/closed", "detail": "on Mondays"},
            ("https://cinema.test/closed", "on Mondays", None),
        ),
        (404, {"detail": "Not Found"}, "UnexpectedResponse"),
        (410, {"detail": "Gone"}, "UnexpectedResponse"),
        (410, {"code": "voided", "detail": "too late"}, ("voided", "too late", None)),
        (503, {"code": "sold_out"}, "NoResponse"),
        (429, {"detail": "slowly"}, "NoResponse"),
    ],
)
async def test_a_status_or_a_declared_code_rejects(status: int, body: Any, expected: object) -> None:
    """Without a code in the body the route decides; 410 of a foreign service says nothing about a key."""
    assert await outcome(httpx.Response(status, json=body), rejections={409: "sold_out"}) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (DONE, Seat(row=7)),
        (httpx.Response(200, json={"accepted": False, "detail": "full"}), ("sold_out", "full", None)),
        (
            httpx.Response(400, json={"accepted": False}),
            ("sold_out", "participant 'cinema' answered 400", None),
        ),
        (httpx.Response(500, json={"accepted": False}), "NoResponse"),
        (httpx.Response(429, json={"accepted": False}), "NoResponse"),
        (httpx.Response(200, json={"accepted": "later"}), "UnexpectedResponse"),
        (httpx.Response(400, text="<html>"), "UnexpectedResponse"),
    ],
    ids=str,
)
async def test_a_function_finds_rejections_in_the_body(answer: httpx.Response, expected: object) -> None:
    """A code that the operation does not declare leaves the outcome unknown."""

    def rejection_of(answer: HttpAnswer) -> str | None:
        match answer.json():
            case {"accepted": False}:
                return "sold_out"
            case {"accepted": "later"}:
                return "undeclared"
            case _:
                return None

    assert await outcome(answer, rejection_of=rejection_of) == expected


def test_an_answer_shows_no_body() -> None:
    """A body may hold secrets, and logs show representations."""
    assert "hunter2" not in repr(HttpAnswer(200, b"hunter2"))


@pytest.mark.parametrize(
    ("create", "reason"),
    [
        (lambda: HttpRoute("get", "/x"), "`method` must be one of DELETE, GET, HEAD, PATCH, POST, PUT"),
        (lambda: HttpRoute("GET", "x"), "`path` must begin with /"),
        (lambda: HttpRoute("GET", "/x?y=1"), "`path` must begin with / and consist of path characters"),
        (lambda: HttpRoute("GET", "/x/{id"), "`path` must begin with / and consist of path characters"),
        (
            lambda: HttpRoute("GET", "/{booking.id}"),
            "`path` must begin with / and consist of path characters",
        ),
        (lambda: HttpRoute("GET", "/x", query="row"), "`query` must be a tuple of names"),  # type: ignore[arg-type]
        (
            lambda: HttpRoute("PUT", "/x", rejections={500: "sold_out"}),
            "`rejections` takes statuses from 400",
        ),
        (
            lambda: HttpRoute("PUT", "/x", rejections={429: "sold_out"}),
            "`rejections` takes statuses from 400",
        ),
        (lambda: HttpRoute("PUT", "/x", done={200}), "`done` takes statuses from 400"),
        (lambda: HttpRoute("PUT", "/x", done={404}, rejections={404: "x"}), "404 is in `done` and in"),
    ],
)
def test_an_unusable_route_is_refused(create: Callable[[], HttpRoute], reason: str) -> None:
    """By field and reason."""
    with pytest.raises(DefinitionError, match=reason):
        create()


class Secretive(BaseModel):
    """A message with a secret."""

    pin: SecretStr

    @field_serializer("pin", when_used="json")
    def _reveal(self, pin: SecretStr) -> str:
        return pin.get_secret_value()


@pytest.mark.parametrize(
    ("operation", "route", "reason"),
    [
        (BOOK, HttpRoute("PUT", "/bookings/{booking}"), "Booking has no field 'booking'"),
        (BOOK, HttpRoute("GET", "/bookings", query=("seat",)), "Booking has no field 'seat'"),
        (BOOK, HttpRoute("PUT", "/x", rejections={409: "full"}), "`rejections` has the code 'full'"),
        (BOOK, HttpRoute("PUT", "/x", done={404}), "the result must be NoneType, not Seat"),
        (BOOK, HttpRoute("HEAD", "/x"), "the result must be NoneType, not Seat"),
        (
            Operation(name="enter", participant="cinema", message=Secretive, result=NoneType),
            HttpRoute("GET", "/x", query=("pin",)),
            "the field 'pin' is a secret, and cannot be part of a URL",
        ),
        (
            Operation(name="eat", participant="diner", message=Seat, result=Seat),
            HttpRoute("GET", "/x"),
            "the operation belongs to 'diner'",
        ),
    ],
)
def test_a_route_that_does_not_fit_the_operation_is_refused(
    operation: Operation[Any, Any], route: HttpRoute, reason: str
) -> None:
    """When the participant is created, before any call."""
    with pytest.raises(DefinitionError, match=reason) as refused:
        HttpParticipant("cinema", "http://cinema.test", routes={operation: route})

    assert str(refused.value).startswith(f"participant 'cinema': route of {operation.name!r}: ")


class ByAlias(BaseModel):
    """A message that reads aliases only, with fields that are named as parts of pydantic's schemas."""

    type: str = "seat"
    config: str = Field(default="", alias="settings")
    row_number: int = Field(alias="rowNumber")


class ByName(BaseModel):
    """A message that reads aliases and names."""

    model_config = ConfigDict(populate_by_name=True)

    row_number: int = Field(alias="rowNumber")


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (ByAlias(rowNumber=7), b'{"type":"seat","settings":"","rowNumber":7}'),
        (ByName(row_number=7), b'{"row_number":7}'),
    ],
    ids=repr,
)
async def test_a_message_is_sent_with_names_that_its_model_reads(message: BaseModel, body: bytes) -> None:
    """Aliases where the model reads nothing else; otherwise the names of the fields, as before."""
    operation = Operation(
        name="book", participant="cinema", message=type(message), result=NoneType, rejections=frozenset()
    )
    async with cinema(NOTHING, {}) as (participant, requests):
        await participant.call(operation, message, "key")

    assert requests[0].content == body
    assert type(message).model_validate_json(requests[0].content) == message


async def test_the_default_is_a_post_of_the_whole_message() -> None:
    """An operation without a route is called as before."""
    async with cinema(DONE, {BOOK: HttpRoute("PUT", "/x")}) as (participant, requests):
        await participant.call(RESERVE_SEAT, Seat(row=7), "key")

    (request,) = requests
    assert (request.method, request.url.path, request.content) == ("POST", "/v1/reserve-seat", b'{"row":7}')
