"""The route of an operation in an HTTP API: method, path, query, and the meaning of statuses and bodies."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, cast, get_type_hints, is_typeddict
from urllib.parse import quote

from pydantic import BaseModel, SecretBytes, SecretStr

from sagas import DefinitionError, Operation

from ._http_answer import RETRIED_STATUSES, HttpAnswer

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE"})

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_UNRESERVED_PATH = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+")


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """How one operation is called, and how the answers are read.

    ::

        HttpRoute("PUT", "/reservations/{reservation_id}", rejections={409: "sold_out"})
        HttpRoute("DELETE", "/reservations/{reservation_id}", done={404})
        HttpRoute("GET", "/reservations", query=("guest",))

    The fields of the message in `path` are percent-encoded. `POST`, `PUT` and `PATCH` send the remaining
    fields as JSON; `GET`, `HEAD` and `DELETE` send no body, and only the fields in `query`. Paths and queries
    stand in the logs of services and proxies: a secret field is refused there.

    Args:
        method: `POST`, `PUT`, `PATCH`, `GET`, `HEAD` or `DELETE`.
        path: The path after the base URL, with fields of the message in braces.
        query: The fields of the message that are sent as the query; fields without a value are left out.
        rejections: The codes of the statuses that reject the operation without an effect. A status of 4xx;
            408, 425 and 429 are retried, and cannot reject.
        rejection_of: Returns the code of an answer that rejects the operation without an effect, or `None`.
            The function is asked about every 2xx and 4xx except 408, 425 and 429, before `rejections`, and
            must not do I/O.
        done: The statuses of 4xx that mean *done* with the result `None`, such as 404 to a deletion.

    Raises:
        DefinitionError: An argument is unusable.
    """

    method: str
    path: str
    query: tuple[str, ...] = ()
    rejections: Mapping[int, str] | None = None
    rejection_of: Callable[[HttpAnswer], str | None] | None = None
    done: AbstractSet[int] = frozenset()

    def __post_init__(self) -> None:
        if self.method not in WITH_BODY | WITHOUT_BODY:
            allowed = ", ".join(sorted(WITH_BODY | WITHOUT_BODY))
            raise DefinitionError(f"`method` must be one of {allowed}, not {self.method!r}")
        if not _UNRESERVED_PATH.fullmatch(_FIELD.sub("x", self.path)):
            raise DefinitionError(
                f"`path` must begin with / and consist of path characters and {{fields}}, not {self.path!r}"
            )
        if isinstance(self.query, str):
            raise DefinitionError("`query` must be a tuple of names, not text")
        object.__setattr__(self, "query", tuple(self.query))
        object.__setattr__(self, "done", frozenset(self.done))
        _check_statuses("rejections", self.rejections or {})
        _check_statuses("done", self.done)
        for status in sorted(self.done & set(self.rejections or {})):
            raise DefinitionError(f"status {status} is in `done` and in `rejections`")

    @property
    def path_fields(self) -> tuple[str, ...]:
        """The fields of the message in the path."""
        return tuple(_FIELD.findall(self.path))

    def fill_path(self, members: Mapping[str, object]) -> str:
        """Returns the path with the fields of a message, percent-encoded.

        Raises:
            ValueError: A field has no value, or a value that is not a single segment of a path.
        """
        return _FIELD.sub(lambda match: _segment(match[1], members.get(match[1])), self.path)

    def query_of(self, members: Mapping[str, object]) -> list[tuple[str, str]]:
        """Returns the query; a list is sent as one parameter for each member.

        Raises:
            ValueError: A value is neither text, nor a number, nor a list of these.
        """
        pairs: list[tuple[str, str]] = []
        for name in self.query:
            value = members.get(name)
            values = cast("list[object]", value) if isinstance(value, list) else [value]
            pairs += [(name, _text(name, each)) for each in values if each is not None]
        return pairs


def check_route(participant: str, operation: Operation[Any, Any], route: HttpRoute) -> None:
    """Refuses a route that does not fit the operation.

    Raises:
        DefinitionError: The operation belongs to another participant, or the route names missing or secret
            fields of the message, undeclared codes, or statuses of an empty result that the operation does
            not return.
    """
    for problem in _problems(participant, operation, route):
        raise DefinitionError(f"participant {participant!r}: route of {operation.name!r}: {problem}")


def _problems(participant: str, operation: Operation[Any, Any], route: HttpRoute) -> Iterator[str]:
    if operation.participant != participant:
        yield f"the operation belongs to {operation.participant!r}"
    names = (*route.path_fields, *route.query)
    known: Mapping[str, object] = _fields_of(operation.message) if names else {}
    for name in names:
        if name not in known:
            yield f"{operation.message.__name__} has no field {name!r}"
        elif known[name] is SecretStr or known[name] is SecretBytes:
            yield f"the field {name!r} is a secret, and cannot be part of a URL"
    for code in sorted({*(route.rejections or {}).values()} - operation.rejections):
        yield f"`rejections` has the code {code!r}, which the operation does not declare"
    if (route.done or route.method == "HEAD") and operation.result is not type(None):
        yield f"`done` and HEAD have no result: the result must be NoneType, not {operation.result.__name__}"


def _fields_of(message: type[object]) -> Mapping[str, object]:
    if issubclass(message, BaseModel):
        return {name: field.annotation for name, field in message.model_fields.items()}
    if is_dataclass(message):
        hints = get_type_hints(message)
        return {each.name: hints[each.name] for each in fields(message)}
    return get_type_hints(message) if is_typeddict(message) else {}


def _check_statuses(option: str, statuses: Iterable[object]) -> None:
    for status in statuses:
        if not isinstance(status, int) or not 400 <= status < 500 or status in RETRIED_STATUSES:
            raise DefinitionError(
                f"`{option}` takes statuses from 400 to 499 without 408, 425 and 429, not {status!r}"
            )


def _segment(name: str, value: object) -> str:
    text = _text(name, value)
    # A client or a proxy would resolve these segments, and call another path.
    if text in ("", ".", ".."):
        raise ValueError(f"field {name!r} is empty or only dots, and cannot be part of a path")
    return quote(text, safe="")


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        # Without the value: error texts stay in histories, unencrypted.
        raise ValueError(f"field {name!r} is neither text nor a number")  # noqa: TRY004 - the value is refused
    return str(value)
