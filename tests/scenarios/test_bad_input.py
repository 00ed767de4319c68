"""An invalid order is refused by the saga with a reason, and has no effect in any service."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowFailureError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from examples.order.messages import Order, Shipment
from examples.order.saga import OrderSaga
from examples.order.scenarios import an_order
from examples.payment.scenarios import a_payment
from examples.stack.end_state import NO_EFFECTS, read_end_state
from examples.stack.stack import Stack
from sagas import DuplicateSagaError, StartError, start_saga
from sagas._client.saga_handle import SagaHandle
from tests.scenarios.history_replay import replay

pytestmark = pytest.mark.asyncio(loop_scope="session")

Change = Callable[[dict[str, Any]], object]

ORDERS: Mapping[str, tuple[Change, str]] = {
    "unknown-currency": (lambda o: o.update(currency="XAU"), "unsupported_currency (currency)"),
    "currency-in-lower-case": (lambda o: o.update(currency="eur"), "unsupported_currency (currency)"),
    "zero": (lambda o: o.update(amount=0), "amount_out_of_range (amount)"),
    "negative": (lambda o: o.update(amount=-5), "amount_out_of_range (amount)"),
    "absurd": (lambda o: o.update(amount=10**30), "amount_out_of_range (amount)"),
    "float": (lambda o: o.update(amount=0.1), "amount"),
    "text": (lambda o: o.update(amount="4200"), "amount"),
    "true": (lambda o: o.update(amount=True), "amount"),
    "no-lines": (lambda o: o.update(lines=[]), "empty_order (lines)"),
    "quantity-0": (lambda o: o["lines"][0].update(quantity=0), "quantity_out_of_range (lines.0.quantity)"),
    "absurd-quantity": (lambda o: o["lines"][0].update(quantity=2**63), "quantity_out_of_range"),
    "twice-the-same": (lambda o: o["lines"].append(o["lines"][0]), "repeated_article (lines)"),
    "unknown-method": (lambda o: o["method"].update(type="barter"), "unknown_method (method.type)"),
    "unknown-field": (lambda o: o.update(discount=100), "discount"),
    "missing-field": (lambda o: o.pop("customer"), "customer"),
    "no-id": (lambda o: o.pop("order_id"), "order_id"),
}

RAW = {
    "not-json": b"{amount",
    "cut-off": b'{"order_id": "x"',
    "nan": b'{"amount": NaN}',
    "nothing": b"",
    "a-list": b"[]",
    "null": b"null",
}


@pytest.mark.parametrize("name", ORDERS)
async def test_an_order_that_breaks_a_rule_is_refused_with_its_reason(name: str, stack: Stack) -> None:
    """The workflow fails with the field and the rule; no service has a record of the order."""
    change, reason = ORDERS[name]
    order_id = secrets.token_hex(6)
    order = an_order()(order_id).model_dump(mode="json")
    change(order)

    failure = await _refused(stack, f"order-{order_id}", order)

    assert reason in failure.message
    end_state = await read_end_state(stack, order_id)
    assert (end_state.effects, end_state.order, end_state.unbalanced) == (NO_EFFECTS, None, ())


@pytest.mark.parametrize("name", RAW)
async def test_an_undecodable_order_fails_its_workflow(name: str, stack: Stack) -> None:
    """The workflow fails with the reason, instead of retrying its workflow task without end."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=RAW[name])

    failure = await _refused(stack, f"order-{secrets.token_hex(6)}", RawValue(payload))

    assert "Order" in failure.message


async def test_a_saga_without_its_argument_fails(stack: Stack) -> None:
    """The failure names the missing argument."""
    handle = await stack.client.start_workflow(
        "OrderSaga", id=f"order-{secrets.token_hex(6)}", task_queue=stack.task_queue
    )

    with pytest.raises(WorkflowFailureError) as error:
        await handle.result()

    assert isinstance(error.value.cause, ApplicationError)
    assert "order" in error.value.cause.message


async def test_an_unknown_article_is_refused_and_the_order_cancelled(stack: Stack) -> None:
    """The inventory refuses the article, and the steps before are compensated."""
    order_id = secrets.token_hex(6)

    failure = await _refused(stack, f"order-{order_id}", an_order(sku="NO-SUCH-THING")(order_id))

    assert "unknown_article (lines.0.sku)" in failure.message
    end_state = await read_end_state(stack, order_id)
    assert (end_state.effects, end_state.order) == (NO_EFFECTS, "cancelled")


async def test_an_order_id_is_not_used_for_another_order(stack: Stack) -> None:
    """The same order again is the same saga; another order with its id is refused before the start."""
    order_id = secrets.token_hex(6)
    order = an_order()(order_id)

    async def start(order: Order) -> SagaHandle[Shipment]:
        return await start_saga(
            stack.client, OrderSaga.run, order, id=f"order-{order_id}", task_queue=stack.task_queue
        )

    first = await start(order)
    again = await start(order)
    with pytest.raises(DuplicateSagaError, match=order_id):
        await start(order.model_copy(update={"amount": 1}))

    assert await again.result() == await first.result()


@pytest.mark.parametrize("saga_id", ["", "a" * 201, "a b", "../x", "a/b", "a\n", "a\0", "ü"])
async def test_a_saga_id_with_other_characters_is_refused(saga_id: str, stack: Stack) -> None:
    """No saga is started, and the error names the permitted characters."""
    with pytest.raises(StartError, match="letters, digits"):
        await start_saga(
            stack.client, OrderSaga.run, an_order()("x"), id=saga_id, task_queue=stack.task_queue
        )


async def test_a_payment_that_breaks_a_rule_is_refused(stack: Stack) -> None:
    """The payment saga refuses like the order saga, and the customer gets a notice."""
    payment_id = secrets.token_hex(6)
    payment = a_payment()(payment_id).model_copy(update={"amount": -1})
    handle = await stack.client.start_workflow(
        "PaymentSaga", payment, id=f"payment-{payment_id}", task_queue=stack.task_queue
    )

    with pytest.raises(WorkflowFailureError) as error:
        await handle.result()

    assert "amount_out_of_range" in str(error.value.cause)
    assert (await read_end_state(stack, payment_id)).notices == ("Your payment was not taken",)


async def _refused(stack: Stack, workflow_id: str, content: object) -> ApplicationError:
    handle = await stack.client.start_workflow(
        "OrderSaga", content, id=workflow_id, task_queue=stack.task_queue
    )
    with pytest.raises(WorkflowFailureError) as error:
        await handle.result()
    assert isinstance(error.value.cause, ApplicationError)
    await replay(stack.client, workflow_id)
    return error.value.cause
