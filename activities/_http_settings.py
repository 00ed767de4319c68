"""The checks of a participant's URL, client and headers; refusals repeat no part of a secret."""

import re
from collections.abc import Mapping
from typing import cast

import httpx

from sagas import DefinitionError

from . import _http_tracing as tracing

KEY_HEADER = "Idempotency-Key"
RESERVED_HEADERS = {"content-type", KEY_HEADER.lower(), *tracing.TRACE_HEADERS}

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")


def parse_base_url(participant: str, base_url: str) -> httpx.URL:
    """Returns the base URL.

    Raises:
        DefinitionError: The URL is unusable.
    """
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


def check_client(participant: str, client: object) -> httpx.AsyncClient:
    """Returns the client of the caller.

    Raises:
        DefinitionError: The client is unusable.
    """
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


def check_headers(participant: str, headers: Mapping[str, str], *, has_auth: bool) -> httpx.Headers:
    """Returns the headers.

    Raises:
        DefinitionError: A header cannot be sent, or belongs to the participant or to `auth`.
    """
    for name, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise DefinitionError(f"participant {participant!r}: a name in `headers` is not a header name")
        # httpx and h11 would quote the value, which may be a token with a line break at the end.
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise DefinitionError(
                f"participant {participant!r}: the value of {name!r} in `headers` must be visible ASCII, "
                "without spaces at the ends"
            )
    checked = httpx.Headers(headers)
    for header in sorted(RESERVED_HEADERS & set(checked)):
        raise DefinitionError(
            f"participant {participant!r}: `headers` must not contain {header!r}, which every call sets"
        )
    if has_auth and "authorization" in checked:
        raise DefinitionError(
            f"participant {participant!r}: give `auth` or the header 'authorization', not both"
        )
    return checked
