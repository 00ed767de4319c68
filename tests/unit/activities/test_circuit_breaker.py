"""The circuit breaker: opens after consecutive failures, and closes after an answered trial."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio.exceptions import ApplicationError

from activities import CircuitBreaker, HttpParticipant
from sagas import DefinitionError, RejectedError

from .cinema import RESERVE_SEAT, Seat, problem

DONE = httpx.Response(200, json={"row": 7})
OUT_OF_ORDER = httpx.Response(503)
Answer = httpx.Response | Exception


class Cinema:
    """A participant with a circuit breaker, a clock of its own, and the answers of a test."""

    def __init__(self, participant: HttpParticipant) -> None:
        self.participant = participant
        self.now = 1_000.0
        self.calls = 0
        self.answer: Answer = DONE

    async def serve(self, _: httpx.Request) -> httpx.Response:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def end_of_call(self, answer: Answer) -> object:
        """The outcome of one call: the result, the code or the type of the error."""
        self.answer = answer
        try:
            return await self.participant.call(RESERVE_SEAT, Seat(row=7), "key")
        except RejectedError as error:
            return error.code
        except ApplicationError as error:
            return error.type


@pytest.fixture
async def cinema() -> AsyncIterator[Cinema]:
    async with running_cinema() as running:
        yield running


@asynccontextmanager
async def running_cinema(serve: Callable[..., Any] | None = None) -> AsyncIterator[Cinema]:
    async def answer(request: httpx.Request) -> httpx.Response:
        return await (serve or running.serve)(request)

    breaker = CircuitBreaker(failures=3, open_for=timedelta(seconds=30), clock=lambda: running.now)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        running = Cinema(
            HttpParticipant("cinema", "http://cinema.test", client=client, circuit_breaker=breaker)
        )
        yield running


@pytest.mark.parametrize(
    "failure",
    [
        OUT_OF_ORDER,
        httpx.Response(500),
        httpx.Response(408),
        httpx.Response(429),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
    ],
    ids=repr,
)
async def test_an_open_circuit_fails_retryably_without_a_call(cinema: Cinema, failure: Answer) -> None:
    """Temporal's next attempt comes when the circuit may close."""
    for _ in range(3):
        assert await cinema.end_of_call(failure) == "NoResponse"
    cinema.now += 10
    with pytest.raises(ApplicationError) as refused:
        await cinema.participant.call(RESERVE_SEAT, Seat(row=7), "key")

    assert cinema.calls == 3
    assert (refused.value.type, refused.value.non_retryable) == ("CircuitOpen", False)
    assert refused.value.next_retry_delay == timedelta(seconds=20)


@pytest.mark.parametrize(
    "answer", [DONE, httpx.Response(409, content=problem("sold_out")), httpx.Response(404)], ids=repr
)
async def test_an_answer_ends_the_series_of_failures(cinema: Cinema, answer: Answer) -> None:
    """A refusal is an answer of a working participant."""
    for _ in range(4):
        await cinema.end_of_call(OUT_OF_ORDER)
        await cinema.end_of_call(OUT_OF_ORDER)
        await cinema.end_of_call(answer)

    assert cinema.calls == 12


async def test_a_trial_decides_after_the_pause(cinema: Cinema) -> None:
    """A failed trial opens the circuit for the same time again; an answered trial closes the circuit."""
    for _ in range(3):
        await cinema.end_of_call(OUT_OF_ORDER)
    cinema.now += 30
    assert await cinema.end_of_call(OUT_OF_ORDER) == "NoResponse"
    assert await cinema.end_of_call(DONE) == "CircuitOpen"
    cinema.now += 30
    assert await cinema.end_of_call(DONE) == Seat(row=7)
    assert await cinema.end_of_call(OUT_OF_ORDER) == "NoResponse"
    assert await cinema.end_of_call(DONE) == Seat(row=7)


async def test_only_one_call_is_the_trial() -> None:
    """The other calls wait; a trial that is cancelled leaves the trial to the next call."""
    reached, release = asyncio.Event(), asyncio.Event()
    answers = iter([OUT_OF_ORDER] * 3)

    async def serve(_: httpx.Request) -> httpx.Response:
        if (answer := next(answers, None)) is not None:
            return answer
        reached.set()
        await release.wait()
        return httpx.Response(200, json={"row": 7})

    async with running_cinema(serve) as cinema:
        for _ in range(3):
            await cinema.end_of_call(OUT_OF_ORDER)
        cinema.now += 30
        trial = asyncio.create_task(cinema.end_of_call(DONE))
        await reached.wait()
        assert await cinema.end_of_call(DONE) == "CircuitOpen"
        trial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trial
        release.set()
        assert await cinema.end_of_call(DONE) == Seat(row=7)


async def test_opening_and_closing_are_logged(cinema: Cinema, caplog: pytest.LogCaptureFixture) -> None:
    """Once each, with the participant."""
    caplog.set_level(logging.INFO, "activities")
    for _ in range(5):
        await cinema.end_of_call(OUT_OF_ORDER)
    cinema.now += 30
    await cinema.end_of_call(DONE)

    assert caplog.messages == [
        "the circuit of participant 'cinema' is open for 0:00:30: 3 calls in a row have failed",
        "the circuit of participant 'cinema' is closed: a trial call was answered",
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"failures": 0}, "`failures` must be an int of at least 1, not 0"),
        ({"failures": True}, "`failures` must be an int of at least 1, not True"),
        ({"failures": "5"}, "`failures` must be an int of at least 1, not '5'"),
        (
            {"open_for": timedelta(0)},
            "`open_for` must be a timedelta above 0 and at most an hour, not 0:00:00",
        ),
        ({"open_for": timedelta(hours=2)}, "`open_for` must be a timedelta above 0"),
        ({"open_for": 30}, "`open_for` must be a timedelta above 0"),
    ],
)
def test_unusable_options_are_refused(options: Any, reason: str) -> None:
    """By name and reason."""
    with pytest.raises(DefinitionError, match=reason.replace("`", "`")):
        CircuitBreaker(**options)
