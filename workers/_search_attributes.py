"""The search attributes of sagas, made known to a namespace."""

import logging
import re
from collections.abc import Mapping

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from sagas import SagaPlugin

from ._errors import ConfigurationError
from ._servers.temporal_options import SEARCH_ATTRIBUTES

logger = logging.getLogger(__name__)


async def register_search_attributes(
    client: Client, wanted: Mapping[str, str] = SEARCH_ATTRIBUTES
) -> frozenset[str]:
    """Registers the search attributes that the namespace does not know, and returns those it still does not.

    It never raises; where a server does not let us look, all are returned.
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
    """Makes sure that sagas on this client can write the search attributes that they will write.

    Writing one that is not registered fails the workflow task for ever, and no compensation runs. Whether
    they are written is a matter of the plugin alone: were it decided here, two workers could replay the
    same history to different commands.

    Raises:
        ConfigurationError: One is missing, and cannot be registered.
    """
    plugins = client.config(active_config=True).get("plugins", [])
    if not any(isinstance(plugin, SagaPlugin) and plugin.search_attributes for plugin in plugins):
        return
    if missing := await register_search_attributes(client):
        names = ", ".join(f"{name} ({SEARCH_ATTRIBUTES[name]})" for name in sorted(missing))
        raise ConfigurationError(
            f"namespace {client.namespace!r} has no search attribute {names}, and it cannot be registered; "
            "ask its administrator to add it, or use SagaPlugin(search_attributes=False)"
        )


async def _missing(client: Client, wanted: Mapping[str, str]) -> dict[str, IndexedValueType.ValueType]:
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return {name: _type(kind) for name, kind in wanted.items() if name not in known.custom_attributes}


def _type(kind: str) -> IndexedValueType.ValueType:
    """The wire's name of a type: `KeywordList` is `INDEXED_VALUE_TYPE_KEYWORD_LIST`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind)
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{words.upper()}")
