"""Replays the history of a saga: the same history must lead to the same commands."""

from temporalio.client import Client
from temporalio.worker import Replayer

from examples.order.saga import OrderSaga
from examples.payment.saga import PaymentSaga
from sagas import SagaPlugin


async def replay(client: Client, workflow_id: str) -> None:
    """Replays a saga, and its payment if the saga has one.

    Raises:
        NondeterminismError: The present code would have issued other commands.
    """
    replayer = Replayer(workflows=[OrderSaga, PaymentSaga], plugins=[SagaPlugin()])
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    await replayer.replay_workflow(history)
    for event in history.events:
        child = event.child_workflow_execution_started_event_attributes.workflow_execution.workflow_id
        if child:
            await replayer.replay_workflow(await client.get_workflow_handle(child).fetch_history())
