"""The search attributes of sagas, and their registration in a namespace."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from sagas import SagaPlugin
from sagas.operator import SAGA_STATUS

from ._errors import ConfigurationError

SEARCH_ATTRIBUTES = {SAGA_STATUS.name: "Keyword"}
"""Names and types of the search attributes that sagas write."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The search attributes of a namespace after their registration.

    Args:
        missing: The names that are still missing; all names when the server refuses to list them.
        reason: The server's reason for missing names; empty if the server gave none.
        other_types: The names that are registered with another type, each with the name of that type.
    """

    missing: frozenset[str] = frozenset()
    reason: str = ""
    other_types: Mapping[str, str] = field(default_factory=dict[str, str])


async def register_search_attributes(
    client: Client, wanted: Mapping[str, str] = SEARCH_ATTRIBUTES
) -> Registration:
    """Registers the search attributes that the namespace lacks, and never raises."""
    try:
        missing, other_types = await _compare(client, wanted)
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
            missing, other_types = await _compare(client, wanted)
    except RPCError as error:
        return Registration(missing=frozenset(wanted), reason=error.message)
    return Registration(missing=frozenset(missing), other_types=other_types)


async def require_search_attributes(client: Client) -> None:
    """Refuses a client whose sagas would write search attributes that the namespace lacks.

    Writing an unregistered search attribute fails the workflow task for ever, and no compensation runs.
    Only the plugin decides whether sagas write search attributes: a decision made here could differ between
    two workers, which would then replay the same history to different commands.

    Raises:
        ConfigurationError: A search attribute is missing and cannot be registered, or has another type.
    """
    plugins = client.config(active_config=True).get("plugins", [])
    if not any(isinstance(plugin, SagaPlugin) and plugin.search_attributes for plugin in plugins):
        return
    registration = await register_search_attributes(client)
    for name, kind in registration.other_types.items():
        raise ConfigurationError(
            f"search attribute {name} of namespace {client.namespace!r} has type {kind}, and sagas write "
            f"{SEARCH_ATTRIBUTES[name]}: ask the administrator of the namespace to remove it (temporal "
            f"operator search-attribute remove --name {name}) and to add it as {SEARCH_ATTRIBUTES[name]}, "
            "or use SagaPlugin(search_attributes=False)"
        )
    if missing := registration.missing:
        names = ", ".join(f"{name} ({SEARCH_ATTRIBUTES[name]})" for name in sorted(missing))
        why = f" ({registration.reason})" if registration.reason else ""
        raise ConfigurationError(
            f"namespace {client.namespace!r} has no search attribute {names}, and registering failed{why}; "
            "ask the administrator of the namespace to add it, or use SagaPlugin(search_attributes=False)"
        )


async def _compare(
    client: Client, wanted: Mapping[str, str]
) -> tuple[dict[str, IndexedValueType.ValueType], dict[str, str]]:
    """The missing names with the wanted types, and the names with another type, with the found types."""
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    types = {name: _value_type(kind) for name, kind in wanted.items()}
    found = known.custom_attributes
    other = {name: _type_name(found[name]) for name, kind in types.items() if found.get(name, kind) != kind}
    return {name: kind for name, kind in types.items() if name not in found}, other


def _type_name(value_type: IndexedValueType.ValueType) -> str:
    """The type's name of an enum of Temporal's API; the reverse of `_value_type`."""
    words = IndexedValueType.Name(value_type).removeprefix("INDEXED_VALUE_TYPE_").split("_")
    return "".join(word.capitalize() for word in words)


def _value_type(kind: str) -> IndexedValueType.ValueType:
    """Translates a type's name to the enum of Temporal's API: `KeywordList` to `..._KEYWORD_LIST`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind)
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{words.upper()}")
