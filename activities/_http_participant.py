"""Calls to a participant over HTTP, with an idempotency key and a classified outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import TypeAdapter
from temporalio import activity
from temporalio.exceptions import ApplicationError

from sagas import DefinitionError, Operation

from . import _http_tracing as tracing
from ._http_response import HttpResponse, read_result
from ._idempotency_key import idempotency_key
from ._key_header import key_to_header

MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")

MAX_RESPONSE_BYTES = 1024 * 1024
"""A longer body is not read further, and counts as unreadable."""

CALL_SHARE = 0.9
"""The share of an attempt's start-to-close timeout for the call; the rest is for reporting the outcome."""

KEY_HEADER = "Idempotency-Key"
RESERVED_HEADERS = {"content-type", KEY_HEADER.lower(), *tracing.TRACE_HEADERS}


class HttpParticipant:
    """A participant behind an HTTP API: an operation is a `POST` to `{base_url}/{operation}`.

    The outcome of a call is:

    - *done*: status 200 and a result of the declared type;
    - *rejected*: a problem (RFC 9457) with a code that the operation declares, or status 410, a voided key;
    - *unknown, retried*: 408, 425, 429, 5xx, timeouts, lost connections and unreadable responses. A retry
      waits for `Retry-After`, up to a minute;
    - *unknown, final*: every other response, because the operation does not declare that the refusal has no
      effect.

    Args:
        name: The participant's name in the operations.
        base_url: An `http` or `https` URL, for example `https://host/api/payments`; a path is kept.
        timeout: The timeout of a call; nine tenths of the attempt's start-to-close timeout when shorter.
        headers: Headers of every request.
        auth: Authentication of every request: user and password, or an `httpx.Auth`.
        client: A client of the caller, for TLS, proxies, limits or a shared connection pool. The participant
            does not close the client. The client's own headers and authentication apply unless overridden;
            its timeouts and its redirect option do not. Without `client`, the participant creates a client
            with up to 100 connections that ignores proxies of the environment.

    Raises:
        DefinitionError: An argument is unusable, or two arguments contradict each other.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        timeout: timedelta = timedelta(seconds=10),
        headers: Mapping[str, str] | None = None,
        auth: httpx.Auth | tuple[str, str] | None = None,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self.name = name
        self._base_url = _parse_base_url(name, base_url)
        self._timeout, self._headers, self._auth = timeout, httpx.Headers(headers), auth
        if timeout <= timedelta(0):
            raise DefinitionError(f"participant {name!r}: `timeout` must be positive, and is {timeout}")
        self._check_headers()
        if auth is not None and self._base_url.userinfo:
            raise DefinitionError(
                f"participant {name!r}: give credentials in `auth` or in `base_url`, not in both"
            )
        self._is_own_client = client is None
        # Proxies of the environment are ignored by default: a proxy must not read payments.
        self._client = httpx.AsyncClient(trust_env=False) if client is None else _check_client(name, client)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_own_client:
            await self._client.aclose()

    async def call(self, operation: Operation[MessageT, ResultT], message: MessageT, key: str) -> ResultT:
        """Calls an operation once.

        Args:
            operation: The operation.
            message: The message of the operation.
            key: The idempotency key: the same on every attempt. The header has a key of at most 200 visible
                ASCII characters unchanged; every other key is encoded, and ends in a hash.

        Raises:
            RejectedError: The participant rejected the operation; there is no effect.
            ApplicationError: The outcome is unknown; `non_retryable` when a retry would not help.
        """
        url = self._url_of(operation)
        with tracing.trace_call(self.name, operation.name, url) as span:
            try:
                async with asyncio.timeout(self._call_timeout()):
                    response = await self._post(url, operation, message, key)
            except (httpx.RequestError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
                text = f"participant {self.name!r} did not answer {operation.name!r}: {reason}"
                raise ApplicationError(text, type="NoResponse") from error
            span.set_attribute(tracing.STATUS, response.status)
            return read_result(operation, response)

    # `Any`: a list of operations mixes message and result types, in which `Operation` is invariant.
    def activities(self, operations: Iterable[Operation[Any, Any]]) -> list[Callable[..., object]]:
        """Creates an activity for each operation of this participant."""
        return [self._activity(operation) for operation in operations if operation.participant == self.name]

    def _activity(self, operation: Operation[MessageT, ResultT]) -> Callable[[MessageT], Awaitable[ResultT]]:
        async def call(message: MessageT) -> ResultT:
            return await self.call(operation, message, idempotency_key())

        # Temporal reads the payload types from the annotations.
        call.__annotations__ = {"message": operation.message, "return": operation.result}
        call.__doc__ = f"Calls the operation {operation.name!r} of the participant {self.name!r}."
        return activity.defn(name=operation.name)(call)

    async def _post(
        self, url: httpx.URL, operation: Operation[MessageT, ResultT], message: MessageT, key: str
    ) -> HttpResponse:
        trace_context: dict[str, str] = {}
        tracing.inject_trace_context(trace_context)
        headers = httpx.Headers(self._headers)
        headers.update({"Content-Type": "application/json", KEY_HEADER: key_to_header(key), **trace_context})
        async with self._client.stream(
            "POST",
            url,
            content=TypeAdapter(operation.message).dump_json(message),
            headers=headers,
            auth=httpx.USE_CLIENT_DEFAULT if self._auth is None else self._auth,
            follow_redirects=False,
            # `call` limits the whole call; httpx would limit every single read.
            timeout=None,
        ) as response:
            body = await _read_body(response)
        return HttpResponse(response.status_code, body, response.headers.get("Retry-After"))

    def _url_of(self, operation: Operation[MessageT, ResultT]) -> httpx.URL:
        folder = self._base_url.raw_path.rstrip(b"/")
        return self._base_url.copy_with(raw_path=folder + b"/" + operation.name.encode())

    def _call_timeout(self) -> float:
        timeout = self._timeout
        if activity.in_activity() and (attempt := activity.info().start_to_close_timeout):
            timeout = min(timeout, attempt * CALL_SHARE)
        return timeout.total_seconds()

    def _check_headers(self) -> None:
        for header in sorted(RESERVED_HEADERS & set(self._headers)):
            raise DefinitionError(
                f"participant {self.name!r}: `headers` must not contain {header!r}, which every call sets"
            )
        if self._auth is not None and "authorization" in self._headers:
            raise DefinitionError(
                f"participant {self.name!r}: give `auth` or the header 'authorization', not both"
            )


def _parse_base_url(participant: str, base_url: str) -> httpx.URL:
    # Errors do not repeat the URL, nor a part of the URL: it may contain a password.
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        raise DefinitionError(f"participant {participant!r}: `base_url` is not a valid URL") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise DefinitionError(f"participant {participant!r}: `base_url` must be http://host or https://host")
    if url.query or url.fragment:
        raise DefinitionError(
            f"participant {participant!r}: `base_url` must have no query and no fragment, only a path"
        )
    return url


def _check_client(participant: str, client: object) -> httpx.AsyncClient:
    if not isinstance(client, httpx.AsyncClient):
        raise DefinitionError(
            f"participant {participant!r}: `client` must be an httpx.AsyncClient, not {type(client).__name__}"
        )
    if client.is_closed:
        raise DefinitionError(f"participant {participant!r}: `client` is closed")
    if client.base_url != httpx.URL(""):
        raise DefinitionError(
            f"participant {participant!r}: `client` must have no base URL of its own; `base_url` replaces it"
        )
    return client


async def _read_body(response: httpx.Response) -> bytes:
    """Reads the body; a body over the limit counts as empty, and is not read further."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            return b""
    return body
