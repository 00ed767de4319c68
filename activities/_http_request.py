"""The request of an operation: the URL and the body, from the route and the message. No I/O."""

from dataclasses import dataclass, field
from typing import TypeVar, cast
from urllib.parse import urlencode

import httpx
from pydantic import TypeAdapter
from temporalio.exceptions import ApplicationError

from sagas import Operation

from ._alias_names import is_read_by_alias_only
from ._http_route import WITH_BODY, HttpRoute

MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request to a participant.

    Args:
        method: The method.
        url: The URL, with the values of the message.
        template: The path after the base URL, without values.
        content: The body; `None` for a request without a body.
    """

    method: str
    url: httpx.URL = field(repr=False)
    template: str
    content: bytes | None = field(repr=False)


def create_request(
    base_url: httpx.URL, operation: Operation[MessageT, ResultT], message: MessageT, route: HttpRoute | None
) -> HttpRequest:
    """Creates the request of an operation; without a route, a `POST` of the whole message.

    Raises:
        ApplicationError: The message has a value that cannot be part of a URL; no request was sent, and a
            retry would not help.
    """
    template = f"/{operation.name}" if route is None else route.path
    folder = base_url.raw_path.rstrip(b"/")
    adapter = TypeAdapter(operation.message)
    by_alias = is_read_by_alias_only(operation.message) or None
    if route is None:
        url = base_url.copy_with(raw_path=folder + template.encode())
        return HttpRequest("POST", url, template, adapter.dump_json(message, by_alias=by_alias))
    used = {*route.path_fields, *route.query}
    members = (
        cast("dict[str, object]", adapter.dump_python(message, mode="json", by_alias=False)) if used else {}
    )
    try:
        path, query = route.fill_path(members), route.query_of(members)
        url = base_url.copy_with(raw_path=folder + path.encode() + _encode_query(query))
    except (ValueError, httpx.InvalidURL) as error:
        reason = str(error) if isinstance(error, ValueError) else "the URL is too long"
        text = f"the message of {operation.name!r} cannot be sent to {operation.participant!r}: {reason}"
        raise ApplicationError(text, type="UnsendableMessage", non_retryable=True) from None
    content = None
    if route.method in WITH_BODY:
        content = adapter.dump_json(message, exclude=used or None, by_alias=by_alias)
    return HttpRequest(route.method, url, template, content)


def _encode_query(query: list[tuple[str, str]]) -> bytes:
    return f"?{urlencode(query)}".encode() if query else b""
