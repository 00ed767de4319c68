"""The relay: publishes what stands in the outbox, and deletes it once the broker has it."""

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from .. import _tracing as tracing
from .._declarations.event import Event
from .._errors import BusUnavailableError
from .._messaging.bus import Bus
from .._transaction import outbox
from .._transaction.database import Database
from .._transaction.failpoint import Failpoint, Pass, go_on

POLL = timedelta(seconds=1)
"""How long an event can wait if nobody woke the relay: after a crash, for one."""
SHORTEST_PAUSE = timedelta(milliseconds=100)
LONGEST_PAUSE = timedelta(seconds=5)
GRACE = timedelta(seconds=2)
AT_ONCE = 64
"""How many events are in flight at most, each of another saga."""

logger = logging.getLogger(__name__)


class Relay:
    """Publishes the events of one outbox, each at least once, those of one saga one after the other.

    An event is deleted after the broker has confirmed it, never before; a crash in between publishes it
    again. There is one relay per database.

    Args:
        database: Whose outbox it reads.
        bus: Where it publishes.
        poll: How long it sleeps unless `wake` is called.
        shortest_pause: After a first failure of the broker; it doubles with each further one.
        longest_pause: The most that it gets to.
        grace: How long it goes on after `stop`, at most, to publish what waits.
        clock: What time it is.
        failpoint: Told of each failpoint.
    """

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        poll: timedelta = POLL,
        shortest_pause: timedelta = SHORTEST_PAUSE,
        longest_pause: timedelta = LONGEST_PAUSE,
        grace: timedelta = GRACE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        failpoint: Pass = go_on,
    ) -> None:
        self._database, self._bus = database, bus
        self._poll, self._shortest, self._longest, self._grace = poll, shortest_pause, longest_pause, grace
        self._clock, self._failpoint = clock, failpoint
        self._woken, self._stopped = asyncio.Event(), asyncio.Event()
        self._limit: asyncio.Timeout | None = None

    def wake(self) -> None:
        """Says that something was committed that may have an event."""
        self._woken.set()

    def stop(self) -> None:
        """Lets `run` return once nothing waits that can be published, or its grace is over."""
        self._stopped.set()
        self._woken.set()
        self._limit_to_grace()

    async def run(self) -> None:
        """Publishes until it is stopped, however often the broker or the database fails."""
        try:
            async with asyncio.timeout(None) as self._limit:
                if self._stopped.is_set():
                    self._limit_to_grace()
                await self._publish_until_stopped()
                while await self.publish_due():
                    pass
        except (TimeoutError, BusUnavailableError, sqlite3.OperationalError) as error:
            logger.warning("events may wait in the outbox for the next start: %s", error or "no time left")
        finally:
            self._limit = None

    def _limit_to_grace(self) -> None:
        if self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._grace.total_seconds())

    async def _publish_until_stopped(self) -> None:
        pause = self._shortest
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                is_done = not await self.publish_due()
            # Whatever fails, what is committed has to go out.
            except Exception as error:
                is_expected = isinstance(error, BusUnavailableError | sqlite3.OperationalError)
                logger.warning(
                    "events wait, as they cannot be published just now: %s",
                    error,
                    exc_info=None if is_expected else error,
                )
                await _is_set(self._stopped, pause * random.uniform(0.5, 1))  # noqa: S311 - only a jitter
                pause = min(2 * pause, self._longest)
            else:
                pause = self._shortest
                if is_done:
                    await _is_set(self._woken, self._poll)

    async def publish_due(self) -> int:
        """Publishes the first event of each saga that has one, and returns how many there were.

        Raises:
            BusUnavailableError: The broker takes nothing; what it has confirmed is deleted all the same.
        """
        waiting = await self._database.read(lambda tx: outbox.due(tx, self._clock(), limit=AT_ONCE))
        attempts = [self._publish(each.event) for each in waiting]
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        confirmed = [each.seq for each, error in zip(waiting, outcomes, strict=True) if error is None]
        if confirmed:
            self._failpoint(Failpoint.AFTER_PUBLISH)
            await self._database.transact(lambda tx: outbox.delete(tx, confirmed))
        for each, error in zip(waiting, outcomes, strict=True):
            # One event that cannot be published must not keep those of other sagas waiting.
            if isinstance(error, Exception) and not isinstance(error, BusUnavailableError):
                await self._postpone(each, error)
        for error in outcomes:
            if isinstance(error, BusUnavailableError) or (error and not isinstance(error, Exception)):
                raise error
        return len(waiting)

    async def _publish(self, event: Event) -> None:
        with tracing.sending(event):
            await self._bus.publish(event)

    async def _postpone(self, waiting: outbox.Waiting, error: Exception) -> None:
        event = waiting.event
        logger.error(
            "event %s (%s) of saga %s waits, and with it all that follow it there: %s",
            event.type,
            event.id,
            event.saga_id,
            error,
        )
        reason = f"{type(error).__name__}: {error}"
        await self._database.transact(
            partial(outbox.postpone, seq=waiting.seq, reason=reason, now=self._clock())
        )


async def _is_set(event: asyncio.Event, patience: timedelta) -> bool:
    try:
        async with asyncio.timeout(patience.total_seconds()):
            await event.wait()
    except TimeoutError:
        return False
    return True
