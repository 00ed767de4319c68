"""A saga needs `SagaPlugin` exactly once."""

from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
)
from temporalio.worker import Worker

from sagas import DefinitionError, Saga, SagaPlugin

from ..fixtures.trip_saga import Plan
from ..fixtures.trip_worker import Stage


@workflow.defn
class Naked:
    @workflow.run
    async def run(self, word: str) -> str:
        async with Saga():
            return word


async def test_error_of_a_saga_without_the_plugin_names_the_plugin(server: str) -> None:
    """The error of the failing workflow task names the plugin."""
    plain = await Client.connect(server)
    stage = Stage(plain, cache=1000)
    async with Worker(plain, task_queue=stage.task_queue, workflows=[Naked]):
        handle = await plain.start_workflow(Naked.run, "x", id="naked", task_queue=stage.task_queue)
        failed = await stage.event(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
        await handle.terminate("the test is over")

    assert "SagaPlugin()" in failed.workflow_task_failed_event_attributes.failure.message


@workflow.defn
class TooEarly:
    def __init__(self) -> None:
        try:
            Saga()
        except DefinitionError as error:
            self.refusal = str(error)

    @workflow.run
    async def run(self) -> str:
        return self.refusal


async def test_error_of_a_saga_outside_of_run_names_the_run_method(client: Client) -> None:
    """The plugin is present, so the error names the run method."""
    queue = f"early-{uuid4().hex[:8]}"
    async with Worker(client, task_queue=queue, workflows=[TooEarly]):
        refusal = await client.execute_workflow(TooEarly.run, id=queue, task_queue=queue)

    assert refusal.startswith("a saga is opened in the `run` of a workflow")


async def test_plugin_of_client_and_worker_is_used_once(client: Client) -> None:
    """Temporal warns; sagas and children run as usual."""
    stage = Stage(client, cache=1000)
    with pytest.warns(UserWarning, match="present from both client and worker"):
        worker = Worker(
            client,
            task_queue=stage.task_queue,
            workflows=stage.workflows,
            activities=stage.agency.activities(),
            plugins=[SagaPlugin()],
        )
    async with worker:
        trip = await stage.start(Plan(do=("hotel",)), "fail")
        assert (await stage.ending(trip)).saga == "compensated"

    assert stage.agency.story == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("other", [{"search_attributes": False}, {"authorize": lambda verb, note: None}])
def test_second_plugin_with_other_settings_is_refused(client: Client, other: dict[str, Any]) -> None:
    """Otherwise the settings of the second plugin would be ignored, for example `authorize`."""
    with (
        pytest.warns(UserWarning, match="present from both client and worker"),
        pytest.raises(DefinitionError, match="give one to the client"),
    ):
        Worker(client, task_queue="nobody", workflows=[TooEarly], plugins=[SagaPlugin(**other)])


def test_plugin_has_a_name() -> None:
    """Temporal uses the name in the warning about a second plugin."""
    assert SagaPlugin().name() == "sagas"
