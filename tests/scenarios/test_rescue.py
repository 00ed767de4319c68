"""An order that is terminated anywhere is rescued, and every service is left as if nothing had gone wrong."""

import asyncio
import secrets
from collections import Counter

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from examples.compare.endings import COMPLETED, NOTHING, ending_of
from examples.compare.scenarios import an_order
from examples.compare.stack import Stack
from examples.order.messages import Shipment
from examples.order.saga import OrderSaga
from sagas import SagaClient, VerbRefusedError, start_saga

PATIENCE = 120
AT_ONCE = 6

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("postal_code", ["10115", "00001"], ids=["goes-through", "is-refused"])
async def test_order_that_is_terminated_after_any_event_is_rescued(stack: Stack, postal_code: str) -> None:
    """Either it is fulfilled, with every effect once, or nothing of it is left; the books balance."""
    whole = await _start(stack, postal_code)
    await _end_of(whole)
    length = len((await whole.fetch_history()).events)
    some = asyncio.Semaphore(AT_ONCE)

    async def cut(number: int) -> str:
        async with some, asyncio.timeout(PATIENCE):
            return await _terminate_and_rescue(stack, postal_code, number)

    seen = Counter(await asyncio.gather(*(cut(number) for number in range(1, length))))

    assert seen["compensating"] > 0
    assert seen["going on"] > 0 or postal_code != "10115"
    assert seen.total() - seen["ended before"] > length // 2


async def _terminate_and_rescue(stack: Stack, postal_code: str, number: int) -> str:
    handle = await _start(stack, postal_code)
    order_id = handle.id.removeprefix("order-")
    async for event in handle.fetch_history_events(wait_new_event=True):
        if event.event_id >= number:
            break
    try:
        await handle.terminate(reason="cut off by the test")
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return "ended before"
    operator = SagaClient(stack.client)
    rescue = await operator.rescue(handle.id, by="mia", because="it was terminated")
    if rescue.workflow_id:
        await _end_of(stack.client.get_workflow_handle(rescue.workflow_id))
    ending = await ending_of(stack, order_id)
    try:
        again = await operator.rescue(handle.id, by="mia", because="to be sure")
        # One that went on has compensated by itself since, if its pivot was refused.
        wanted = "nothing owed" if rescue.course == "going on" else rescue.course
        assert again.course == wanted
        assert rescue.course == "going on" or again.run_id == rescue.run_id
    except VerbRefusedError:
        assert rescue.course == "going on"
    is_fulfilled = rescue.course == "going on" and postal_code == "10115"
    assert (ending.effects, ending.broken) == (COMPLETED if is_fulfilled else NOTHING, ()), number
    assert await ending_of(stack, order_id) == ending
    return rescue.course.value


async def _start(stack: Stack, postal_code: str) -> WorkflowHandle[OrderSaga, Shipment]:
    order = an_order(postal_code=postal_code)(secrets.token_hex(6))
    handle: WorkflowHandle[OrderSaga, Shipment] = await start_saga(
        stack.client, OrderSaga.run, order, id=f"order-{order.order_id}", task_queue=stack.task_queue
    )
    return stack.client.get_workflow_handle(handle.id, result_type=Shipment)


async def _end_of(handle: WorkflowHandle[OrderSaga, Shipment]) -> None:
    try:
        await handle.result()
    except WorkflowFailureError:
        return
