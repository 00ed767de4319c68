"""Calls to a participant over HTTP, with an idempotency key and a classified outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from inspect import isawaitable
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from temporalio import activity
from temporalio.exceptions import ApplicationError

from sagas import DefinitionError, Operation

from . import _http_tracing as tracing
from ._circuit_breaker import Admission, CircuitBreaker
from ._http_request import HttpRequest, create_request
from ._http_response import HttpResponse, read_result
from ._http_route import HttpRoute, check_route
from ._http_settings import KEY_HEADER, check_client, check_headers, parse_base_url
from ._idempotency_key import idempotency_key
from ._key_header import key_to_header

MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")

Headers = Mapping[str, str]
Auth = httpx.Auth | tuple[str, str] | Callable[[httpx.Request], httpx.Request]

MAX_RESPONSE_BYTES = 1024 * 1024
"""A longer body is not read further, and counts as unreadable."""

CALL_SHARE = 0.9
"""The share of an attempt's start-to-close timeout for the call; the rest is for reporting the outcome."""


class HttpParticipant:
    """A participant behind an HTTP API: an operation is a `POST` to `{base_url}/{operation}`, or has a route.

    The outcome of a call is:

    - *done*: a status of 2xx and a result of the declared type. The result `None` needs no body;
    - *rejected*: a problem (RFC 9457) with a code that the operation declares, a status or a body that the
      route maps to such a code, or a voided key: status 410 without a route, and the code `voided` with one;
    - *unknown, retried*: 408, 425, 429, 5xx, timeouts, lost connections and unreadable responses. A retry
      waits for `Retry-After`, up to a minute;
    - *unknown, final*: every other response, because the operation does not declare that the refusal has no
      effect.

    Headers, credentials, bodies and the values in paths and queries are in no span, error or log line of this
    package.

    Args:
        name: The participant's name in the operations.
        base_url: An `http` or `https` URL, for example `https://host/api/payments`; a path is kept.
        timeout: The timeout of a call; nine tenths of the attempt's start-to-close timeout when shorter.
        headers: Headers of every request, or a function that returns the headers of one request.
        auth: Authentication of every request: user and password, an `httpx.Auth`, or a function that changes
            and returns the `httpx.Request`.
        client: A client of the caller, for TLS, proxies, limits or a shared connection pool. The participant
            does not close the client. The client's own headers and authentication apply unless overridden;
            its timeouts and its redirect option do not. Without `client`, the participant creates a client
            with up to 100 connections that ignores proxies of the environment.
        routes: The routes of operations with a method, a path or statuses of their own.
        circuit_breaker: Stops calls while the participant keeps failing; not shared with other participants.

    Raises:
        DefinitionError: An argument is unusable, or two arguments contradict each other.
    """

    def __init__(  # noqa: PLR0913 - each option of a participant is a parameter
        self,
        name: str,
        base_url: str,
        *,
        timeout: timedelta = timedelta(seconds=10),
        headers: Headers | Callable[[], Headers | Awaitable[Headers]] | None = None,
        auth: Auth | None = None,
        client: httpx.AsyncClient | None = None,
        routes: Mapping[Operation[Any, Any], HttpRoute] | None = None,
        circuit_breaker: CircuitBreaker | None = None,
    ) -> None:
        self.name = name
        self._base_url = parse_base_url(name, base_url)
        self._timeout, self._auth = timeout, auth
        if timeout <= timedelta(0):
            raise DefinitionError(f"participant {name!r}: `timeout` must be positive, and is {timeout}")
        self._headers = headers if callable(headers) else self._check_headers(headers or {})
        if auth is not None and self._base_url.userinfo:
            raise DefinitionError(
                f"participant {name!r}: give credentials in `auth` or in `base_url`, not in both"
            )
        self._routes = dict(routes or {})
        for operation, route in self._routes.items():
            check_route(name, operation, route)
        self._breaker = circuit_breaker
        self._is_own_client = client is None
        # Proxies of the environment are ignored by default: a proxy must not read payments.
        self._client = httpx.AsyncClient(trust_env=False) if client is None else check_client(name, client)
        self._take_credentials()

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
            ApplicationError: The outcome is unknown; `non_retryable` when a retry would not help. The type is
                `CircuitOpen` when the circuit breaker allowed no call.
            DefinitionError: A function in `headers` returned unusable headers.
        """
        route = self._routes.get(operation)
        request = create_request(self._base_url, operation, message, route)
        admission = self._admit(operation.name)
        with tracing.trace_call(self.name, request.method, request.template, self._base_url) as span:
            response = await self._respond(operation.name, request, key, admission)
            span.set_attribute(tracing.STATUS, response.status)
            return read_result(operation, response, route)

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

    def _admit(self, operation: str) -> Admission:
        """Permits a call, unless the circuit is open.

        Raises:
            ApplicationError: The circuit is open; the next attempt comes when the circuit may close.
        """
        admission = Admission.ORDINARY if self._breaker is None else self._breaker.admit()
        if isinstance(admission, timedelta):
            raise ApplicationError(
                f"participant {self.name!r} was not called for {operation!r}: the circuit is open",
                type="CircuitOpen",
                next_retry_delay=admission,
            )
        return admission

    async def _respond(
        self, operation: str, request: HttpRequest, key: str, admission: Admission
    ) -> HttpResponse:
        """Sends a request within the timeout, and records the end of the call in the circuit breaker."""
        has_failed: bool | None = None
        try:
            async with asyncio.timeout(self._call_timeout()):
                response = await self._send(request, key)
            has_failed = response.shows_failure
        except (httpx.RequestError, TimeoutError) as error:
            has_failed = True
            # The text of this error quotes a header, which may be a token.
            is_secret = isinstance(error, httpx.LocalProtocolError)
            reason = type(error).__name__ if is_secret or not str(error) else str(error)
            text = f"participant {self.name!r} did not answer {operation!r}: {reason}"
            raise ApplicationError(text, type="NoResponse") from (None if is_secret else error)
        finally:
            if self._breaker is not None:
                self._breaker.record(admission, self.name, has_failed=has_failed)
        return response

    async def _send(self, request: HttpRequest, key: str) -> HttpResponse:
        trace_context: dict[str, str] = {}
        tracing.inject_trace_context(trace_context)
        headers = httpx.Headers(await self._headers_of_request())
        headers.update({KEY_HEADER: key_to_header(key), **trace_context})
        if request.content is not None:
            headers["Content-Type"] = "application/json"
        async with self._client.stream(
            request.method,
            request.url,
            content=request.content,
            headers=headers,
            auth=httpx.USE_CLIENT_DEFAULT if self._auth is None else self._auth,
            follow_redirects=False,
            # `call` limits the whole call; httpx would limit every single read.
            timeout=None,
        ) as response:
            body = await _read_body(response)
        retry_after = response.headers.get("Retry-After")
        return HttpResponse(response.status_code, body or b"", retry_after, is_cut=body is None)

    async def _headers_of_request(self) -> httpx.Headers:
        if isinstance(self._headers, httpx.Headers):
            return self._headers
        headers = self._headers()
        return self._check_headers(await headers if isawaitable(headers) else headers)

    def _call_timeout(self) -> float:
        timeout = self._timeout
        if activity.in_activity() and (attempt := activity.info().start_to_close_timeout):
            timeout = min(timeout, attempt * CALL_SHARE)
        return timeout.total_seconds()

    def _check_headers(self, headers: Headers) -> httpx.Headers:
        return check_headers(self.name, headers, has_auth=self._auth is not None)

    def _take_credentials(self) -> None:
        """Moves user and password from the URL to `auth`: httpx logs the URL of every request."""
        if self._base_url.userinfo:
            if self._client.auth is None:
                self._auth = httpx.BasicAuth(self._base_url.username, self._base_url.password)
            self._base_url = self._base_url.copy_with(userinfo=b"")


async def _read_body(response: httpx.Response) -> bytes | None:
    """Reads the body; `None` for a body over the limit, which is not read further."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            return None
    return body
