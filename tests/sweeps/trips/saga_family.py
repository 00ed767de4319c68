"""A running saga and its child sagas: handles of their runs, and waits for events of their histories."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from tests.temporal.fixtures.worker_harness import Handle

from ..saga_histories import CANCEL_REQUESTED, CHILD_CANCEL_REQUESTED, CHILD_STARTED, COMPLETED, CONTINUED
from ..stepped_worker import PATIENCE


@dataclass(frozen=True, slots=True)
class SagaFamily:
    """The root saga and its child sagas, addressed by the path from the root: empty, `leg`, `leg/night`."""

    client: Client
    root_id: str

    def id_of(self, path: str) -> str:
        """The workflow id of a saga."""
        return f"{self.root_id}/{path}" if path else self.root_id

    async def wait_for_event(
        self, path: str, condition: Callable[[HistoryEvent], bool], *, run: int = 0
    ) -> HistoryEvent:
        """Waits for the first matching event in a run of a saga."""
        handle = await self._handle(path, run)
        async with asyncio.timeout(PATIENCE):
            async for event in handle.fetch_history_events(wait_new_event=True):
                if condition(event):
                    return event
        raise AssertionError(f"{handle.id} closed before the event")

    async def wait_until_parents_idle(self, path: str) -> None:
        """Waits until every ancestor of a child saga has processed the start of its child."""
        for parent, child in _generations(path):
            child_id = self.id_of(child)
            has_started = False

            def has_processed_start(event: HistoryEvent, child_id: str = child_id) -> bool:
                nonlocal has_started
                has_started |= _is_start_of(event, child_id)
                return has_started and event.event_type == COMPLETED

            await self.wait_for_event(parent, has_processed_start)

    async def wait_until_child_notified(self, path: str) -> None:
        """Waits until the cancel of the root has been sent to a child saga."""
        parent, child = _generations(path)[-1]
        requested = attrgetter("external_workflow_execution_cancel_requested_event_attributes")
        child_id = self.id_of(child)
        await self.wait_for_event(
            parent,
            lambda event: (
                event.event_type == CHILD_CANCEL_REQUESTED
                and requested(event).workflow_execution.workflow_id == child_id
            ),
        )

    async def wait_until_cancel_processed(self, path: str, *, run: int) -> None:
        """Waits until a run of a saga has processed the cancel."""
        is_cancelled = False

        def has_processed_cancel(event: HistoryEvent) -> bool:
            nonlocal is_cancelled
            is_cancelled |= event.event_type == CANCEL_REQUESTED
            return is_cancelled and event.event_type == COMPLETED

        await self.wait_for_event(path, has_processed_cancel, run=run)

    async def _handle(self, path: str, run: int) -> Handle:
        for parent, child in _generations(path):
            child_id = self.id_of(child)
            await self.wait_for_event(
                parent,
                lambda event, child_id=child_id: _is_start_of(event, child_id),  # type: ignore[misc]  # mypy infers no types for a default
            )
        description = await self.client.get_workflow_handle(self.id_of(path)).describe()
        run_id = description.raw_description.workflow_execution_info.first_run_id
        handle: Handle = self.client.get_workflow_handle(self.id_of(path), run_id=run_id)
        for _ in range(run):
            async with asyncio.timeout(PATIENCE):
                async for event in handle.fetch_history_events(wait_new_event=True):
                    if event.event_type == CONTINUED:
                        attributes = event.workflow_execution_continued_as_new_event_attributes
                        handle = self.client.get_workflow_handle(
                            self.id_of(path), run_id=attributes.new_execution_run_id
                        )
                        break
        return handle


def _is_start_of(event: HistoryEvent, child_id: str) -> bool:
    started = event.child_workflow_execution_started_event_attributes
    return event.event_type == CHILD_STARTED and started.workflow_execution.workflow_id == child_id


def _generations(path: str) -> list[tuple[str, str]]:
    """Each pair of parent and child between the root and a path."""
    names = path.split("/") if path else []
    return [("/".join(names[:i]), "/".join(names[: i + 1])) for i in range(len(names))]
