"""The search attributes of sagas, and their registration in a namespace."""

import logging
import re
from collections.abc import Mapping

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from sagas import SagaPlugin
from sagas.operator import SAGA_STATUS

from ._errors import ConfigurationError

SEARCH_ATTRIBUTES = {SAGA_STATUS.name: "Keyword"}
"""Names and types of the search attributes that sagas write."""

logger = logging.getLogger(__name__)


async def register_search_attributes(
    client: Client, wanted: Mapping[str, str] = SEARCH_ATTRIBUTES
) -> frozenset[str]:
    """Registers the search attributes that the namespace lacks, and never raises.

    Returns:
        The names that are still missing; all names when the server refuses to list search attributes.
    """
    try:
        missing = await _missing(client, wanted)
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
            missing = await _missing(client, wanted)
    except RPCError as error:
        logger.debug("search attributes of namespace %r: %s", client.namespace, error.message)
        return frozenset(wanted)
    return frozenset(missing)


async def require_search_attributes(client: Client) -> None:
    """Refuses a client whose sagas would write search attributes that the namespace lacks.

    Writing an unregistered search attribute fails the workflow task for ever, and no compensation runs.
    Only the plugin decides whether sagas write search attributes: a decision made here could differ between
    two workers, which would then replay the same history to different commands.

    Raises:
        ConfigurationError: A search attribute is missing and cannot be registered.
    """
    plugins = client.config(active_config=True).get("plugins", [])
    if not any(isinstance(plugin, SagaPlugin) and plugin.search_attributes for plugin in plugins):
        return
    if missing := await register_search_attributes(client):
        names = ", ".join(f"{name} ({SEARCH_ATTRIBUTES[name]})" for name in sorted(missing))
        raise ConfigurationError(
            f"namespace {client.namespace!r} has no search attribute {names}, and registering failed; "
            "ask the administrator of the namespace to add it, or use SagaPlugin(search_attributes=False)"
        )


async def _missing(client: Client, wanted: Mapping[str, str]) -> dict[str, IndexedValueType.ValueType]:
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return {name: _value_type(kind) for name, kind in wanted.items() if name not in known.custom_attributes}


def _value_type(kind: str) -> IndexedValueType.ValueType:
    """Translates a type's name to the enum of Temporal's API: `KeywordList` to `..._KEYWORD_LIST`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind)
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{words.upper()}")
