"""The worker of a saga in a test: the workflows, the scripted participants, and crashes."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.worker import Worker

from .._participants.scripted_participants import NoAnswerError, ScriptedParticipants
from .._script.plan import SagaPlan
from .one_queue_interceptor import OneQueueInterceptor
from .replay import sandbox_for_tests

HEARTBEAT_THROTTLE = timedelta(milliseconds=100)


class ScriptedWorker:
    """A worker for one saga, on a task queue of its own.

    Args:
        client: The client.
        plan: The saga to run.
        workflows: The workflow classes of the saga and the children.
        participants: The participants; they respond to every activity without a real activity of the plan.
    """

    def __init__(
        self, client: Client, plan: SagaPlan, workflows: Sequence[type], participants: ScriptedParticipants
    ) -> None:
        self.task_queue = f"{plan.saga_id}-queue"
        self._client, self._plan, self._workflows = client, plan, workflows
        self._participants = participants
        self._is_crashing = False
        self._worker: Worker | None = None

    async def start(self) -> None:
        """Starts to poll."""
        self._worker = self._create()
        await self._worker.__aenter__()

    async def stop(self) -> None:
        """Stops; running activities are cancelled."""
        if self._worker is not None:
            await self._worker.__aexit__(None, None, None)
            self._worker = None

    async def crash(self) -> None:
        """Ends the worker like a crash, and starts another: no running attempt reports anything."""
        self._is_crashing = True
        await self.stop()
        self._is_crashing = False
        await self.start()

    def _create(self) -> Worker:
        return Worker(
            self._client,
            task_queue=self.task_queue,
            workflows=self._workflows,
            activities=[*self._plan.options.activities, self._activity()],
            interceptors=[OneQueueInterceptor(self._plan.may_hang)],
            workflow_runner=sandbox_for_tests(),
            max_cached_workflows=self._plan.options.max_cached_workflows,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        )

    def _activity(self) -> Callable[..., object]:
        """The activity that Temporal calls for every activity type without an activity of its own."""

        @activity.defn(dynamic=True)
        async def respond(arguments: Sequence[RawValue]) -> object:
            info = activity.info()
            call = _ActivityCall(
                arguments, self._client, info.workflow_id or "", info.activity_id, info.activity_type
            )
            try:
                return await self._participants.respond(call)
            except NoAnswerError:
                activity.raise_complete_async()
            except asyncio.CancelledError:
                if self._is_crashing:
                    activity.raise_complete_async()
                raise

        return respond


@dataclass(frozen=True, slots=True)
class _ActivityCall:
    """The call of the running activity."""

    arguments: Sequence[RawValue]
    client: Client
    workflow_id: str
    activity_id: str
    activity: str

    def message(self, kind: type | None = None) -> object:
        if not self.arguments:
            return None
        converter = self.client.data_converter.payload_converter
        return converter.from_payloads([self.arguments[0].payload], [kind] if kind else None)[0]
