"""Participants that keep a fenced ledger of effects: what was asked, in which order, and what is left."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from temporalio import activity
from temporalio.exceptions import ApplicationError

from sagas import RejectedError, idempotency_key
from tests.temporal.fixtures.trip_participants import ActivityLatch, FakeParticipants, Response
from tests.temporal.fixtures.trip_plan import Booking

COMPENSATE = "compensate."
"""Begins the activity id of a compensation: stated here once more, as the kernel's word is on trial."""


async def loses_reply() -> object:
    """The action takes effect, and its answer gets lost."""
    raise ApplicationError("the line went dead", type="Broken")


class Effect(StrEnum):
    """What a participant holds under an idempotency key."""

    APPLIED = "applied"
    COMPENSATED = "compensated"
    VOIDED = "voided"
    """Compensated before it was ever asked for: whatever comes later has no effect."""


@dataclass(slots=True)
class Request:
    """One attempt of an activity, as its participant sees it; the moments are those of one common clock."""

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
    """Where an activity is held: the first attempt of its `nth` schedule, before or after its effect."""

    workflow_id: str
    activity_id: str
    nth: int
    is_after_effect: bool
    latch: ActivityLatch = field(default_factory=ActivityLatch)


class FencedParticipants(FakeParticipants):
    """The participants of one run; they answer as its script says.

    Args:
        script: For each operation, how its first calls are answered; later ones succeed.
        in_turn: Activities that are under way together: they are answered one after another, each after the
            workflow has heard of the one before, so that every run has the same history.
        heard: How many workflow tasks it takes until all have heard of what was before each of them; one
            where it is not said.
    """

    def __init__(
        self,
        script: Mapping[str, tuple[Response, ...]],
        *,
        in_turn: tuple[str, ...] = (),
        heard: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        for operation, answers in script.items():
            self.when(operation, *answers)
        self.requests: list[Request] = []
        self.effects: dict[str, Effect] = {}
        self._refusals: dict[str, RejectedError] = {}
        self.hold_at: PausedActivity | None = None
        self._clock = count()
        self._begun: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._in_turn, self._heard = in_turn, heard or {}
        self._answered = 0
        self._tasks = 0
        self._moved = asyncio.Event()

    def a_task_was_done(self) -> None:
        """Says that a workflow task was carried out: the next in turn may answer."""
        self._tasks += 1
        self._moved.set()

    def end_turns(self) -> None:
        """From now on, all answer as soon as they can."""
        self._in_turn = ()
        self._moved.set()

    async def perform(self) -> object:
        """Does the operation that is running, as its script says, at most once per key."""
        request = self._note()
        info = activity.info()
        nth = self._begun[request.workflow_id, request.activity_id] = self._begun[
            request.workflow_id, request.activity_id
        ] + (info.attempt == 1)
        hold = self.hold_at
        is_held = (
            hold is not None
            and info.attempt == 1
            and (hold.workflow_id, hold.activity_id, hold.nth)
            == (request.workflow_id, request.activity_id, nth)
        )
        try:
            if hold and is_held and not hold.is_after_effect:
                await _beating(hold.latch.block())
            error = await self._take_effect(request)
            if hold and is_held and hold.is_after_effect:
                await _beating(hold.latch.block())
            if request.activity_id in self._in_turn:
                await _beating(self._wait_for_turn(request.activity_id))
            if error:
                raise error
        except asyncio.CancelledError:
            request.outcome = "cancelled"
            raise
        finally:
            request.ended = next(self._clock)
        return Booking(number=f"{request.operation}-1")

    def _note(self) -> Request:
        info = activity.info()
        assert info.workflow_id is not None
        request = Request(
            key=idempotency_key(info.workflow_id, info.activity_id),
            operation=info.activity_type,
            workflow_id=info.workflow_id,
            activity_id=info.activity_id,
            attempt=info.attempt,
            is_compensation=info.activity_id.startswith(COMPENSATE),
            began=next(self._clock),
        )
        self.requests.append(request)
        return request

    async def _take_effect(self, request: Request) -> Exception | None:
        if not request.is_compensation and (again := self._refusals.get(request.key)):
            request.outcome = "refused"
            return again
        script = self._script[request.operation]
        answer = script.popleft() if script else None
        if answer is loses_reply:
            self._apply(request)
        try:
            if answer:
                await answer()
        except RejectedError as refusal:
            request.outcome = "refused"
            if not request.is_compensation:
                self._refusals[request.key] = refusal
            return refusal
        except ApplicationError as failure:
            request.outcome = "broken"
            return failure
        return self._apply(request)

    def _apply(self, request: Request) -> Exception | None:
        held = self.effects.get(request.key)
        request.outcome = "done"
        if request.is_compensation:
            if held is None:
                self.effects[request.key] = Effect.VOIDED
            elif held is Effect.APPLIED:
                self.effects[request.key] = Effect.COMPENSATED
        elif held is None:
            self.effects[request.key] = Effect.APPLIED
        elif held is not Effect.APPLIED:
            request.outcome = "too late"
            return RejectedError("voided", "it was compensated before")
        return None

    async def _wait_for_turn(self, activity_id: str) -> None:
        place = self._in_turn.index(activity_id)
        tasks = self._heard.get(activity_id, 1)
        while self._in_turn and not (self._answered == place and self._tasks >= tasks):
            self._moved.clear()
            await self._moved.wait()
        self._answered += 1
        self._tasks = 0


async def _beating(wait: Coroutine[object, object, None]) -> None:
    """Waits, and reports that it is alive where that is asked for, so that a cancel reaches it."""
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
