"""A saga handle is a workflow handle."""

import pytest
from temporalio.client import Client, WorkflowHandle

from sagas._client.saga_handle import SagaHandle
from tests.temporal.fixtures.trip_saga import TripSaga


@pytest.fixture
async def client() -> Client:
    """A client without a connection; making a handle sends no request."""
    return await Client.connect("localhost:1", lazy=True)


async def test_handle_is_a_workflow_handle_of_the_current_run(client: Client) -> None:
    """The result type is declared by the run method, or unknown."""
    handle = SagaHandle.for_id(client, "trip-1", TripSaga.run)

    assert isinstance(handle, WorkflowHandle)
    assert (handle.id, handle.run_id, handle.first_execution_run_id) == ("trip-1", None, None)
    same = client.get_workflow_handle_for(TripSaga.run, "trip-1")
    assert vars(handle) == vars(same)
    assert vars(SagaHandle.for_id(client, "trip-1")) == vars(client.get_workflow_handle("trip-1"))
