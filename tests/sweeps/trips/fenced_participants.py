"""Fake participants with a fence: the requests in their order, and the remaining effects."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from temporalio import activity
from temporalio.exceptions import ApplicationError

from sagas import RejectedError, idempotency_key
from tests.temporal.fixtures.trip_participants import ActivityLatch, FakeParticipants, Response
from tests.temporal.fixtures.trip_plan import Booking

COMPENSATION_PREFIX = "compensate."
"""The start of a compensation's activity id, written here a second time: the SDK is under test."""


async def loses_reply() -> object:
    """The action takes effect, and the reply is lost: the outcome is unknown."""
    raise ApplicationError("the connection was lost", type="Broken")


class Effect(StrEnum):
    """The stored effect of an idempotency key."""

    APPLIED = "applied"
    COMPENSATED = "compensated"
    VOIDED = "voided"
    """Compensated before the action: a later action has no effect."""


@dataclass(slots=True)
class Request:
    """An attempt of an activity, as seen by the participant; all requests share a logical clock."""

    key: str
    operation: str
    workflow_id: str
    activity_id: str
    attempt: int
    is_compensation: bool
    began: int
    ended: int = -1
    outcome: str = "under way"


@dataclass(slots=True)
class PausedActivity:
    """The paused activity: the first attempt of the `nth` schedule, before or after the effect."""

    workflow_id: str
    activity_id: str
    nth: int
    is_after_effect: bool
    latch: ActivityLatch = field(default_factory=ActivityLatch)


class FencedParticipants(FakeParticipants):
    """The participants of one run, which respond as scripted.

    Args:
        script: For each operation, the responses to the first calls; later calls succeed.
        reply_order: The ids of concurrent activities in the order of their replies. A participant replies
            after the workflow has processed the previous reply, so that every run has the same history.
        tasks_before_reply: For some of these ids, the number of workflow tasks before the reply; else one.
    """

    def __init__(
        self,
        script: Mapping[str, tuple[Response, ...]],
        *,
        reply_order: tuple[str, ...] = (),
        tasks_before_reply: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        for operation, responses in script.items():
            self.when(operation, *responses)
        self.requests: list[Request] = []
        self.effects: dict[str, Effect] = {}
        self._rejections: dict[str, RejectedError] = {}
        self.paused_activity: PausedActivity | None = None
        self._clock = count()
        self._begun: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._reply_order, self._tasks_before_reply = reply_order, tasks_before_reply or {}
        self._replied = 0
        self._tasks = 0
        self._moved = asyncio.Event()

    def start_task(self) -> Callable[[], None]:
        """Notes the start of a workflow task; the returned function notes the end.

        The next participant waits for tasks that have started after the previous reply: the end of an older
        task may be noted after the reply.
        """
        replied = self._replied

        def end_task() -> None:
            if replied == self._replied:
                self._tasks += 1
                self._moved.set()

        return end_task

    def release_order(self) -> None:
        """Drops the order of the replies."""
        self._reply_order = ()
        self._moved.set()

    async def perform(self) -> object:
        """Records the request of the running activity, and responds as scripted; a key has one effect."""
        request = self._record()
        info = activity.info()
        nth = self._begun[request.workflow_id, request.activity_id] = self._begun[
            request.workflow_id, request.activity_id
        ] + (info.attempt == 1)
        paused = self.paused_activity
        is_paused = (
            paused is not None
            and info.attempt == 1
            and (paused.workflow_id, paused.activity_id, paused.nth)
            == (request.workflow_id, request.activity_id, nth)
        )
        try:
            if paused and is_paused and not paused.is_after_effect:
                await _wait_with_heartbeats(paused.latch.block())
            error = await self._take_effect(request)
            if paused and is_paused and paused.is_after_effect:
                await _wait_with_heartbeats(paused.latch.block())
            if request.activity_id in self._reply_order:
                await _wait_with_heartbeats(self._wait_for_turn(request.activity_id))
            if error:
                raise error
        except asyncio.CancelledError:
            request.outcome = "cancelled"
            raise
        finally:
            request.ended = next(self._clock)
        return Booking(number=f"{request.operation}-1")

    def _record(self) -> Request:
        info = activity.info()
        assert info.workflow_id is not None
        request = Request(
            key=idempotency_key(info.workflow_id, info.activity_id),
            operation=info.activity_type,
            workflow_id=info.workflow_id,
            activity_id=info.activity_id,
            attempt=info.attempt,
            is_compensation=info.activity_id.startswith(COMPENSATION_PREFIX),
            began=next(self._clock),
        )
        self.requests.append(request)
        return request

    async def _take_effect(self, request: Request) -> Exception | None:
        if not request.is_compensation and (earlier := self._rejections.get(request.key)):
            request.outcome = "rejected"
            return earlier
        script = self._script[request.operation]
        respond = script.popleft() if script else None
        if respond is loses_reply:
            self._apply(request)
        try:
            if respond:
                await respond()
        except RejectedError as rejection:
            request.outcome = "rejected"
            if not request.is_compensation:
                self._rejections[request.key] = rejection
            return rejection
        except ApplicationError as failure:
            request.outcome = "failed"
            return failure
        return self._apply(request)

    def _apply(self, request: Request) -> Exception | None:
        effect = self.effects.get(request.key)
        request.outcome = "done"
        if request.is_compensation:
            if effect is None:
                self.effects[request.key] = Effect.VOIDED
            elif effect is Effect.APPLIED:
                self.effects[request.key] = Effect.COMPENSATED
        elif effect is None:
            self.effects[request.key] = Effect.APPLIED
        elif effect is not Effect.APPLIED:
            request.outcome = "too late"
            return RejectedError("voided", "the key is void: the compensation came first")
        return None

    async def _wait_for_turn(self, activity_id: str) -> None:
        place = self._reply_order.index(activity_id)
        tasks = self._tasks_before_reply.get(activity_id, 1)
        while self._reply_order and not (self._replied == place and self._tasks >= tasks):
            self._moved.clear()
            await self._moved.wait()
        self._replied += 1
        self._tasks = 0


async def _wait_with_heartbeats(wait: Coroutine[object, object, None]) -> None:
    """Waits; with a heartbeat timeout, sends heartbeats to receive a cancel."""
    if not activity.info().heartbeat_timeout:
        return await wait
    waiting = asyncio.ensure_future(wait)
    try:
        while not waiting.done():
            activity.heartbeat()
            await asyncio.wait([waiting], timeout=0.05)
    finally:
        waiting.cancel()
    return waiting.result()
