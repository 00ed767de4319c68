"""The search attributes of sagas, made known to a namespace."""

import logging
import re
from collections.abc import Mapping

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from ._temporal_options import SEARCH_ATTRIBUTES

logger = logging.getLogger(__name__)


async def register_search_attributes(
    client: Client, wanted: Mapping[str, str] = SEARCH_ATTRIBUTES
) -> frozenset[str]:
    """Registers the search attributes that the namespace does not know, and returns those it still does not.

    Writing one that is not registered fails the workflow task for ever, and no compensation runs: so what
    is returned must not be written. It never raises; where a server does not let us look, all are returned.
    """
    try:
        missing = await _missing(client, wanted)
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
            missing = await _missing(client, wanted)
    except RPCError as error:
        missing, reason = (
            dict.fromkeys(wanted, IndexedValueType.INDEXED_VALUE_TYPE_UNSPECIFIED),
            error.message,
        )
    else:
        reason = "it was added, and is not there"
    if missing:
        logger.warning(
            "namespace %r has no search attribute %s, and it cannot be registered (%s); "
            "ask its administrator to add it, or sagas are listed without their status",
            client.namespace,
            ", ".join(f"{name} ({wanted[name]})" for name in missing),
            reason,
        )
    return frozenset(missing)


async def _missing(client: Client, wanted: Mapping[str, str]) -> dict[str, IndexedValueType.ValueType]:
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return {name: _type(kind) for name, kind in wanted.items() if name not in known.custom_attributes}


def _type(kind: str) -> IndexedValueType.ValueType:
    """The wire's name of a type: `KeywordList` is `INDEXED_VALUE_TYPE_KEYWORD_LIST`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind)
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{words.upper()}")
