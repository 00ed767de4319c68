"""A consumer that does not stop by itself: events to their handler, saga by saga, answers to the broker."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from types import TracebackType
from typing import Self

from ..._backoff import pause_after
from ..._declarations.event import Event
from ..._errors import BusUnavailableError, DeadLetterError, TopologyError, UnroutableError
from ..bus import Handler
from ..cloudevents import Message, decode
from ..delivery import Failed, Handled, Refused, attempt, failed_too_often
from ..keyed_executor import Lanes
from ..task_cancellation import end
from .connection import FIRST_PAUSE, LONGEST_PAUSE, Arrival, Link, consuming
from .options import RabbitOptions

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Delivery:
    arrival: Arrival
    content: Event | DeadLetterError


SUSPECT = 2
"""Deliveries that were never answered, after which an event may be what ends connections or processes."""


class Consumer:
    """Consumes a queue for as long as the context is open, whatever becomes of connection and broker.

    Handlers run in tasks of their own, never in those of the connection, which end with it. A handler that
    runs when the connection breaks runs to its end; its event is delivered again, and waits for that end.

    It begins with one event at a time: when a connection or a process ends, the broker counts that against
    every event that was under way, and one that kills whoever takes it would take the others with it to the
    dead letters. As soon as an event comes that is above suspicion, it begins anew with as many as it may.

    Args:
        link: The connection.
        queue: What is consumed.
        handle: Gets one event of a saga at a time.
        put_aside: Publishes what cannot be handled, with the reason, to the dead letters.
        options: How much, how long, how often.
    """

    def __init__(
        self,
        link: Link,
        queue: str,
        handle: Handler,
        put_aside: Callable[[Message, str], Awaitable[None]],
        options: RabbitOptions,
    ) -> None:
        self._link, self._queue, self._handle = link, queue, handle
        self._put_aside, self._options = put_aside, options
        self._lanes = Lanes(self._answer)
        self._numbers = count()
        self._arrivals = self._unanswered = 0
        self._is_careful = True
        self._over = asyncio.Event()
        self._stopping = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._runner = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        try:
            # The consumer stays while handlers run: without it, the next one would begin beside them.
            await self._lanes.close()
        finally:
            if self._runner is not None:
                await end(self._runner)

    async def _run(self) -> None:
        failures = 0
        while True:
            was_careful = self._is_careful
            try:
                self._unanswered = 0
                prefetch = 1 if was_careful else self._options.prefetch
                async with consuming(self._link, self._queue, prefetch, self._receive) as self._over:
                    _log.info("consuming queue %r of %r, %d at a time", self._queue, self._link, prefetch)
                    failures = 0
                    await self._watch(self._over)
                if was_careful and not self._is_careful:
                    continue
                _log.warning("consuming queue %r was interrupted; beginning again", self._queue)
            except (BusUnavailableError, TopologyError) as error:
                failures += 1
                if failures & (failures - 1) == 0:
                    _log.warning("queue %r cannot be consumed (%s); trying again", self._queue, error)
            self._is_careful = True
            await asyncio.sleep(pause_after(max(failures, 1), FIRST_PAUSE, LONGEST_PAUSE))

    async def _watch(self, over: asyncio.Event) -> None:
        """Returns when the consumer is no more, also where nobody said so."""
        while not over.is_set():
            arrivals = self._arrivals
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.watch_every.total_seconds()):
                    await over.wait()
                    return
            try:
                state = await self._link.queue_state(self._queue)
            except BusUnavailableError:
                # A connection that does not answer looks open until its heartbeats are missed.
                self._link.drop()
                raise
            if state is None or state.consumers == 0:
                _log.warning("%r knows of no consumer of queue %r any more", self._link, self._queue)
                return
            # A stand-by of another process sees this too; taking its place in the line again does no harm.
            if state.ready and self._arrivals == arrivals and not self._unanswered:
                _log.info("queue %r has %d events, and none came here", self._queue, state.ready)
                return

    def _receive(self, arrival: Arrival) -> None:
        if self._is_careful and arrival.earlier_deliveries < SUSPECT:
            self._widen()
        # What came on a channel that is given up comes again, and with it all that follows.
        if arrival.is_stale:
            return
        self._arrivals += 1
        self._unanswered += 1
        content: Event | DeadLetterError
        try:
            content = decode(arrival.message.body, arrival.message.content_type)
            lane = content.saga_id
        except DeadLetterError as error:
            content, lane = error, f"\0{next(self._numbers)}"
        self._lanes.put(lane, _Delivery(arrival, content))

    def _widen(self) -> None:
        self._is_careful = False
        self._over.set()

    async def _answer(self, delivery: _Delivery) -> None:
        arrival = delivery.arrival
        # It is delivered again anyway; handling it twice would only be work.
        if arrival.is_stale:
            return
        if isinstance(delivery.content, DeadLetterError):
            outcome: Handled | Refused | Failed = Refused(str(delivery.content))
        else:
            outcome = await attempt(self._handle, delivery.content, self._options.handler_deadline)
        match outcome:
            case Handled():
                await arrival.acknowledge()
            case Refused(reason):
                await self._bury(arrival, reason)
            case Failed(reason):
                await self._try_again(arrival, reason)
        if not arrival.is_stale:
            self._unanswered -= 1

    async def _try_again(self, arrival: Arrival, reason: str) -> None:
        deliveries = arrival.earlier_deliveries + 1
        if deliveries > self._options.delivery_limit:
            await self._bury(arrival, failed_too_often(deliveries, reason))
            return
        _log.warning(
            "%s in queue %r failed (delivery %d): %s", _name(arrival), self._queue, deliveries, reason
        )
        if self._is_careful:
            # It fails, but it kills nobody: the others need not wait until it is given up.
            self._widen()
            return
        await self._pause(deliveries, self._options.retry_pause, self._options.longest_retry_pause)
        await arrival.put_back()

    async def _bury(self, arrival: Arrival, reason: str) -> None:
        """Puts a message aside; stays at it until that is done, or the message is somebody else's."""
        for failures in count(1):
            if arrival.is_stale or (failures > 1 and self._stopping.is_set()):
                return
            try:
                await self._put_aside(arrival.message, reason)
            except (BusUnavailableError, UnroutableError) as error:
                _log.warning("%s in queue %r cannot be put aside: %s", _name(arrival), self._queue, error)
                await self._pause(failures, FIRST_PAUSE, LONGEST_PAUSE)
            else:
                _log.error("%s in queue %r is a dead letter: %s", _name(arrival), self._queue, reason)
                await arrival.acknowledge()
                return

    async def _pause(self, failures: int, first: timedelta, longest: timedelta) -> None:
        """Waits, but not while the consumer is to be closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_after(failures, first, longest)):
                await self._stopping.wait()


def _name(arrival: Arrival) -> str:
    return f"event {arrival.message.message_id!r} ({arrival.message.type!r})"
