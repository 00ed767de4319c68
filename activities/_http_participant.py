"""Calls to a participant over HTTP, with an idempotency key and a classified answer."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import TypeAdapter
from temporalio import activity
from temporalio.exceptions import ApplicationError

from sagas import Operation

from . import _http_tracing as tracing
from ._http_response import Answer, read_answer
from ._idempotency_key import idempotency_key

MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")

LARGEST_ANSWER = 1024 * 1024
"""Bytes of an answer's body; the rest is not read, and the answer counts as unreadable."""

MARGIN = 0.9
"""The part of an attempt's time that the call may take; the rest is for saying how it ended."""


class HttpParticipant:
    """A participant that is reached over HTTP: one `POST /{operation}` for each of its operations.

    An answer is *done* if it is a 200 with a result of the declared type, and *rejected* if it is a problem
    (RFC 9457) whose code the operation declares, or 410 for a key that was voided. 408, 425, 429, 5xx,
    time limits, lost connections and unreadable answers are tried again, no sooner than a `Retry-After`
    asks for, up to a minute; when all attempts are spent, the outcome is *unknown*. Every other refusal is
    unknown at once, and final: nobody declared that it leaves no effect.

    Args:
        name: As the operations call it.
        base_url: Where it listens, for instance `http://127.0.0.1:8001`.
        timeout: The longest that one call may take; the attempt's own time limit counts if it is
            shorter.
        transport: For tests; by default real connections, up to 100 of them.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        timeout: timedelta = timedelta(seconds=10),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.name = name
        self._timeout = timeout
        # `trust_env` is off: a proxy in the environment must not read payments.
        # The whole call has one time limit, set anew for each; httpx would have one for every read.
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=None,  # noqa: S113
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def call(self, operation: Operation[MessageT, ResultT], message: MessageT, key: str) -> ResultT:
        """Asks the participant once.

        Args:
            operation: What it is asked to do.
            message: What it needs to know.
            key: The idempotency key: the same on every attempt.

        Raises:
            RejectedError: It refused for good, and nothing has happened.
            ApplicationError: Nobody knows whether it happened; `non_retryable` if asking again is useless.
        """
        with tracing.calling(self.name, operation.name, self._client.base_url) as span:
            try:
                async with asyncio.timeout(self._time_limit()):
                    answer = await self._post(operation, message, key)
            except (httpx.RequestError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                raise ApplicationError(f"{self.name} did not answer: {reason}", type="NoAnswer") from error
            span.set_attribute(tracing.STATUS, answer.status)
            return read_answer(operation, answer)

    def activities(self, operations: Iterable[Operation[Any, Any]]) -> list[Callable[..., object]]:
        """An activity for each of the operations that are this participant's; give them to a worker."""
        return [self._activity(operation) for operation in operations if operation.participant == self.name]

    def _activity(self, operation: Operation[MessageT, ResultT]) -> Callable[[MessageT], Awaitable[ResultT]]:
        async def call(message: MessageT) -> ResultT:
            return await self.call(operation, message, idempotency_key())

        # Temporal converts payloads by these.
        call.__annotations__ = {"message": operation.message, "return": operation.result}
        call.__doc__ = f"Asks {self.name} to {operation.name.replace('-', ' ')}."
        return activity.defn(name=operation.name)(call)

    async def _post(self, operation: Operation[MessageT, ResultT], message: MessageT, key: str) -> Answer:
        content = TypeAdapter(operation.message).dump_json(message)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        tracing.carry_on(headers)
        async with self._client.stream(
            "POST", f"/{operation.name}", content=content, headers=headers
        ) as response:
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    return Answer(response.status_code, b"", response.headers.get("Retry-After"))
        return Answer(response.status_code, body, response.headers.get("Retry-After"))

    def _time_limit(self) -> float:
        limit = self._timeout
        if activity.in_activity() and (attempt := activity.info().start_to_close_timeout):
            limit = min(limit, attempt * MARGIN)
        return limit.total_seconds()
