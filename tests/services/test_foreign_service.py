"""docs/services.md, executed: the plain FastAPI service of the page, in a process of its own."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from types import NoneType
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from temporalio.exceptions import ApplicationError

from activities import HttpParticipant, HttpRoute
from sagas import Operation, RejectedError
from tests.guide_code import imported_guide

Guide = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stays")


@pytest.fixture(scope="module")
def guide(folder: Path) -> Iterator[Guide]:
    with imported_guide("services.md", folder) as modules:
        yield modules


@pytest.fixture
async def url(guide: Guide, folder: Path) -> AsyncIterator[str]:
    """The service; connections wait in the socket until the process accepts them."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        descriptor = listening.fileno()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "stays_service:app", "--fd", str(descriptor)),
            *("--log-level", "warning"),
            cwd=folder,
            pass_fds=[descriptor],
        )
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.terminate()
            await process.wait()


@pytest.fixture
async def stays(guide: Guide, url: str) -> AsyncIterator[HttpParticipant]:
    async with guide["stays"].connect_stays(url) as participant:
        yield participant


async def test_a_reservation_is_made_found_and_cancelled(guide: Guide, stays: HttpParticipant) -> None:
    """201 with a result, a query, and 204 without a body; a repetition changes nothing."""
    code = guide["stays"]
    stay = code.Stay(reservation_id="r 7?ä", hotel="Ritz", nights=2)
    for _ in range(2):
        room = await stays.call(code.reserve_room, stay, "key")
        assert room == code.Room(hotel="Ritz", nights=2)
    assert (await stays.call(code.find_rooms, stay, "key")).ids == ["r 7?ä"]
    await stays.call(code.cancel_room, stay, "key")
    assert (await stays.call(code.find_rooms, stay, "key")).ids == []


async def test_a_compensation_without_an_effect_is_done(guide: Guide, stays: HttpParticipant) -> None:
    """404 to a deletion: there is nothing to compensate."""
    code = guide["stays"]
    await stays.call(code.cancel_room, code.Stay(reservation_id="r1", hotel="Ritz", nights=2), "key")


@pytest.mark.parametrize(
    ("hotel", "code", "reason"),
    [("Grand", "full", "the hotel is full"), ("Bates", "closed", "the hotel is closed")],
)
async def test_refusals_of_the_service_reject_the_step(
    guide: Guide, stays: HttpParticipant, hotel: str, code: str, reason: str
) -> None:
    """A mapped status, and a declared code in FastAPI's `detail`."""
    stay = guide["stays"].Stay(reservation_id="r1", hotel=hotel, nights=2)
    with pytest.raises(RejectedError) as rejected:
        await stays.call(guide["stays"].reserve_room, stay, "key")

    assert (rejected.value.code, rejected.value.reason) == (code, reason)


async def test_an_answer_of_2xx_may_reject_the_step(guide: Guide, stays: HttpParticipant) -> None:
    """The route reads the body."""
    code = guide["stays"]
    with pytest.raises(RejectedError, match="not_confirmed"):
        await stays.call(code.confirm_room, code.Stay(reservation_id="r1", hotel="Ritz", nights=2), "key")


class Guest(BaseModel):
    """A message that the service refuses, because `nights` is no number."""

    reservation_id: str
    hotel: str
    nights: str


async def test_a_validation_error_is_unknown_and_quotes_no_value(url: str) -> None:
    """The operation does not declare that a refusal has no effect."""
    operation = Operation(name="reserve-room", participant="stays", message=Guest, result=NoneType)
    routes = {operation: HttpRoute("PUT", "/reservations/{reservation_id}")}
    async with HttpParticipant("stays", url, routes=routes) as stays:
        with pytest.raises(ApplicationError) as unknown:
            await stays.call(operation, Guest(reservation_id="r1", hotel="Ritz", nights="no 4111"), "key")

    assert (unknown.value.type, unknown.value.non_retryable) == ("UnexpectedResponse", True)
    assert "nights: Input should be a valid integer" in str(unknown.value)
    assert "4111" not in str(unknown.value)


async def test_tokens_stand_in_no_log_line(guide: Guide, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not in httpx's line about the request either."""
    caplog.set_level(logging.DEBUG)
    code = guide["stays"]
    stay = code.Stay(reservation_id="r1", hotel="Grand", nights=2)
    signed = url.replace("//", "//ada:hunter2@")
    for base_url, auth in ((url, httpx.BasicAuth("ada", "hunter2")), (signed, None)):
        async with code.connect_stays(base_url, auth) as stays:
            with pytest.raises(RejectedError):
                await stays.call(code.reserve_room, stay, "key")

    assert "HTTP Request: PUT" in caplog.text
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(stays)
