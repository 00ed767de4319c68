"""The two styles of saga over the same services, behind a small protocol."""

import asyncio
from typing import Protocol

import httpx
from pydantic import BaseModel
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError

from sagas import start_saga

from .deployment import Deployment, ServiceCommand
from .service_databases import ServiceDatabases

STATUS = {
    WorkflowExecutionStatus.COMPLETED: "completed",
    WorkflowExecutionStatus.FAILED: "compensated",
    WorkflowExecutionStatus.CANCELED: "cancelled",
}
ATTEMPTS = 5
POLL_SECONDS = 0.02
"""The interval for reading the state of a choreographed saga."""


class Style(Protocol):
    """Starts sagas, cancels sagas, and waits for the end of sagas."""

    @property
    def name(self) -> str:
        """`orchestrated` or `choreographed`."""
        ...

    async def start(self, message: BaseModel, *, details: str = "") -> str:
        """Starts a saga durably and returns its id: the same in both styles.

        Args:
            message: The start message of a saga type of the deployment.
            details: A description for people, in a style with a place for descriptions.
        """
        ...

    async def cancel(self, saga_id: str) -> None:
        """Requests the cancellation of a saga; the saga may be past the pivot already."""
        ...

    async def wait_until_ended(self, saga_id: str) -> str:
        """Waits until no step is left to do: `completed`, `compensated` or `cancelled`."""
        ...


class Orchestrated:
    """Sagas as Temporal workflows.

    Args:
        client: Has `SagaPlugin`.
        task_queue: The task queue of the worker.
        deployment: Knows the saga types.
    """

    name = "orchestrated"

    def __init__(self, client: Client, task_queue: str, deployment: Deployment) -> None:
        self._client, self._task_queue, self._deployment = client, task_queue, deployment

    async def start(self, message: BaseModel, *, details: str = "") -> str:
        """Starts the workflow."""
        saga_type = self._deployment.saga_type_of(message)
        handle = await start_saga(
            self._client,
            saga_type.workflow,
            message,
            id=saga_type.saga_id(message),
            task_queue=self._task_queue,
            static_summary=saga_type.summary(message),
            static_details=details or None,
        )
        return handle.id

    async def cancel(self, saga_id: str) -> None:
        """Cancels the workflow."""
        await self._client.get_workflow_handle(saga_id).cancel()

    async def wait_until_ended(self, saga_id: str) -> str:
        """Waits until the workflow has closed."""
        handle = self._client.get_workflow_handle(saga_id)
        try:
            await handle.result()
        except WorkflowFailureError:
            status = (await handle.describe()).status
            return STATUS.get(status or WorkflowExecutionStatus.RUNNING, "lost")
        return "completed"


class Choreographed:
    """Sagas as events between the services; the end of a saga is read from the databases of all services.

    Args:
        http: Sends the commands.
        databases: The databases of the services.
        urls: The URL of each service.
        deployment: Knows the saga types.
    """

    name = "choreographed"

    def __init__(
        self,
        http: httpx.AsyncClient,
        databases: ServiceDatabases,
        urls: dict[str, str],
        deployment: Deployment,
    ) -> None:
        self._http, self._databases, self._urls, self._deployment = http, databases, urls, deployment
        self._refreshed_at = 0.0

    async def start(self, message: BaseModel, *, details: str = "") -> str:
        """Sends the start command; `details` are not kept."""
        del details
        return await self._send(self._deployment.saga_type_of(message).start(message))

    async def cancel(self, saga_id: str) -> None:
        """Sends the cancel command.

        Raises:
            ValueError: Sagas of this type cannot be cancelled.
        """
        cancel = self._deployment.saga_type_with(saga_id).cancel
        if cancel is None:
            raise ValueError(f"saga {saga_id!r} has no command that cancels it")
        await self._send(cancel(saga_id))

    async def wait_until_ended(self, saga_id: str) -> str:
        """Reads the databases of the services until the saga has ended."""
        end_status = self._deployment.saga_type_with(saga_id).end_status
        loop = asyncio.get_running_loop()
        while (status := end_status(self._databases.steps(saga_id))) is None:
            # All waiting callers share one refresh.
            if loop.time() - self._refreshed_at >= POLL_SECONDS:
                self._databases.refresh()
                self._refreshed_at = loop.time()
            else:
                await asyncio.sleep(POLL_SECONDS)
        return status

    async def _send(self, request: ServiceCommand) -> str:
        url = f"{self._urls[request.service]}/{request.command}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = await self._http.post(url, json=request.message.model_dump(mode="json"))
            except httpx.TransportError:
                # The command may have arrived; a repeated command has no further effect.
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(attempt * POLL_SECONDS)
            else:
                response.raise_for_status()
                return str(response.json()["saga_id"])
        raise AssertionError("unreachable")
