"""A saga with sections that is terminated after a given event, and rescued: which effects are left?"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper

from sagas import start_saga
from sagas.operator import RescueDecision, SagaClient
from tests.temporal.fixtures.section_saga import SectionSaga
from tests.temporal.fixtures.trip_saga import TripSaga
from tests.temporal.fixtures.worker_harness import Handle

from ..stepped_worker import PATIENCE, GatedWorker, TaskGate
from .fenced_participants import Effect, FencedParticipants
from .promises import PIVOT_ACTIVITIES
from .saga_shapes import SagaShape

AnyRun = Callable[[Any, object], Awaitable[object]]


@dataclass(slots=True)
class TerminatedRun:
    """A run of a shape, terminated as soon as the history has a number of events, and rescued.

    Args:
        client: The client of the saga and of the worker.
        shape: The shape of the saga.
        events: The number of events; without a number, the run is undisturbed.
        cache: The size of the workflow cache.
    """

    client: Client
    shape: SagaShape
    events: int | None = None
    cache: int = 1000
    root_id: str = field(default_factory=lambda: f"terminated-{uuid4().hex[:12]}")
    participants: FencedParticipants = field(init=False)
    decision: RescueDecision | None = field(default=None, init=False)
    length: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.participants = FencedParticipants(self.shape.responses)

    async def run(self) -> None:
        """Runs the saga to the end of the rescue."""
        try:
            async with asyncio.timeout(2 * PATIENCE):
                await self._run()
        except (TimeoutError, AssertionError) as error:
            error.add_note(f"{self.shape.name}, terminated after event {self.events}: {self.root_id}")
            raise

    async def _run(self) -> None:
        client = TimeSkipper(self.client).client if self.shape.skips_time else self.client
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._worker().build())
            run = SectionSaga.run if self.shape.sections else TripSaga.run
            handle: Handle = await start_saga(
                client,
                cast("AnyRun", run),
                self.shape.plan,
                id=self.root_id,
                task_queue=self.root_id,
            )
            if self.events is not None:
                await self._terminate(handle, self.events)
            await asyncio.gather(handle.result(), return_exceptions=True)
            self.length = len((await handle.fetch_history()).events)
            if (await handle.describe()).status is WorkflowExecutionStatus.TERMINATED:
                await self._rescue()

    async def _terminate(self, handle: Handle, events: int) -> None:
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_id >= events:
                break
        try:
            await handle.terminate("the sweep")
        except RPCError as error:
            # The saga has closed meanwhile.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def _rescue(self) -> None:
        operator = SagaClient(self.client)
        rescue = await operator.rescue(self.root_id, by="mia", because="the sweep has terminated the saga")
        self.decision = rescue.decision
        if rescue.workflow_id:
            try:
                await self.client.get_workflow_handle(rescue.workflow_id).result()
            except WorkflowFailureError as error:
                raise AssertionError(f"the rescue failed: {error.cause}") from error
        assert (await operator.preview(self.root_id)).compensations == ()

    def _worker(self) -> GatedWorker:
        gate = TaskGate(on_start=lambda: lambda: None)
        return GatedWorker(
            tasks=gate,
            activities=gate,
            client=self.client,
            task_queue=self.root_id,
            workflows=[TripSaga, SectionSaga],
            calls=self.participants.activities(),
            paused=None,
            cache=self.cache,
            is_sandboxed=False,
        )

    def check(self, undisturbed: "TerminatedRun") -> None:
        """P2, P4 and P7: all effects of the undisturbed run once, or no effect.

        Raises:
            AssertionError: A promise is broken.
        """
        operations = {request.key: request.operation for request in self.participants.requests}
        applied = {key for key, effect in self.participants.effects.items() if effect is Effect.APPLIED}
        has_passed = any(operations[key] in PIVOT_ACTIVITIES for key in applied)
        if has_passed or self.decision is None:
            wanted = {
                key.replace(undisturbed.root_id, self.root_id)
                for key, effect in undisturbed.participants.effects.items()
                if effect is Effect.APPLIED
            }
            assert applied == wanted, f"P2: {applied} instead of {wanted}"
            return
        left = {key for key in applied if operations[key] not in HARMLESS}
        assert not left, f"P2: the rescue has left {left}"


HARMLESS = frozenset({"look-around", "tell-customer", "send-ticket"})
"""The operations without a compensation."""
