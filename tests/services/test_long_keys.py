"""Keys that do not fit into a header: the services accept what `HttpParticipant` sends."""

from json import dumps
from typing import Any

import pytest

from activities import HttpParticipant
from examples.order.operations import release_stock, reserve_stock
from sagas import Operation

from .conftest import RunningService
from .messages import stock


@pytest.mark.parametrize(
    "workflow_id",
    ["x" * 200, "Bestellung ä", "票" * 300, "a" * 199 + "/payment"],
    ids=lambda text: ascii(text)[:12],
)
async def test_a_service_compensates_a_step_with_any_key(
    services: dict[str, RunningService], order_id: str, workflow_id: str
) -> None:
    """The action and the compensation have the same key, so the service finds the effect."""
    inventory, key = services["inventory"], f"{workflow_id}:reserve-stock:{order_id}"
    async with HttpParticipant("inventory", inventory.url) as participant:

        async def call(operation: Operation[Any, Any]) -> Any:
            message = operation.message.model_validate_json(dumps(stock(order_id)))
            return await participant.call(operation, message, key)

        reserved = await call(reserve_stock)
        assert await call(reserve_stock) == reserved
        assert inventory.state(order_id)["effects"] == ["reserve-stock"]
        assert (await call(release_stock)).found == "effect"

    assert inventory.state(order_id)["effects"] == []
