"""The outbox relay: publishes stored events, and deletes confirmed events."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from .. import _tracing as tracing
from .._backoff import Backoff
from .._declarations.event import Event
from .._errors import BusUnavailableError, wire_type_of
from .._messaging.bus import Bus
from .._transaction import outbox
from .._transaction.database import Database
from .._transaction.failpoint import Failpoint, FailpointHook, ignore_failpoint

FAILURE_BACKOFF = Backoff(first=timedelta(milliseconds=100), longest=timedelta(seconds=5), jitter=(0.5, 1.0))
"""The pauses after failures of the broker or the database."""
CONCURRENT_EVENTS = 64
"""The largest number of events that are published concurrently, each of another saga."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """The intervals of an outbox relay.

    Args:
        poll_interval: The time between two reads of the outbox without a call of `wake`, as after a crash.
        backoff: The pauses after failures of the broker or the database.
        stop_timeout: The time after `stop` for publishing the remaining events.
    """

    poll_interval: timedelta = timedelta(seconds=1)
    backoff: Backoff = FAILURE_BACKOFF
    stop_timeout: timedelta = timedelta(seconds=2)


class OutboxRelay:
    """Publishes the events of an outbox at least once, the events of a saga sequentially.

    An event is deleted after the confirmation of the broker; after a crash in between, the event is published
    again. A database must have a single relay.

    Args:
        database: The database with the outbox.
        bus: The target.
        options: Intervals and timeouts.
        clock: Gives the current time, for postponed events.
        on_failpoint: Called at each failpoint.
    """

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        options: RelayOptions | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_failpoint: FailpointHook = ignore_failpoint,
    ) -> None:
        self._database, self._bus = database, bus
        self._options = options or RelayOptions()
        self._clock, self._on_failpoint = clock, on_failpoint
        self._woken, self._stopped = asyncio.Event(), asyncio.Event()
        self._limit: asyncio.Timeout | None = None

    def wake(self) -> None:
        """Requests a read of the outbox; call `wake` after a commit."""
        self._woken.set()

    def stop(self) -> None:
        """Lets `run` return after publishing the remaining events, or at the stop timeout."""
        self._stopped.set()
        self._woken.set()
        self._start_stop_timeout()

    async def run(self) -> None:
        """Publishes until stopped, across failures of the broker and the database."""
        try:
            async with asyncio.timeout(None) as self._limit:
                if self._stopped.is_set():
                    self._start_stop_timeout()
                await self._publish_until_stopped()
                while await self.publish_due():
                    pass
        except (TimeoutError, BusUnavailableError, sqlite3.OperationalError) as error:
            _log.warning(
                "the relay has stopped; unpublished events wait in the outbox for the next start: %s",
                error or "the stop timeout has expired",
            )
        finally:
            self._limit = None

    async def publish_due(self) -> int:
        """Publishes the first due event of each saga, and returns their number.

        Raises:
            BusUnavailableError: The broker is unavailable; confirmed events are deleted anyway.
        """
        due = await self._database.read(
            lambda tx: outbox.read_due(tx, self._clock(), limit=CONCURRENT_EVENTS)
        )
        attempts = [self._publish(stored.event) for stored in due]
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
        confirmed = [stored.seq for stored, error in zip(due, outcomes, strict=True) if error is None]
        if confirmed:
            self._on_failpoint(Failpoint.AFTER_PUBLISH)
            await self._database.transact(lambda tx: outbox.delete(tx, confirmed))
        for stored, error in zip(due, outcomes, strict=True):
            # An event that the bus refuses must not hold back the events of other sagas.
            if isinstance(error, Exception) and not isinstance(error, BusUnavailableError):
                await self._postpone(stored, error)
        for error in outcomes:
            if isinstance(error, BusUnavailableError) or (error and not isinstance(error, Exception)):
                raise error
        return len(due)

    def _start_stop_timeout(self) -> None:
        if self._limit is not None:
            deadline = asyncio.get_running_loop().time() + self._options.stop_timeout.total_seconds()
            self._limit.reschedule(deadline)

    async def _publish_until_stopped(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                is_empty = not await self.publish_due()
            # Committed events must be published, so no error may end the relay.
            except Exception as error:  # noqa: BLE001 - logged below
                failures += 1
                is_expected = isinstance(error, BusUnavailableError | sqlite3.OperationalError)
                _log.warning(
                    "stored events cannot be published, trying again: %s",
                    error,
                    exc_info=None if is_expected else error,
                )
                await _wait_for(self._stopped, self._options.backoff.interval_after(failures))
            else:
                failures = 0
                if is_empty:
                    await _wait_for(self._woken, self._options.poll_interval)

    async def _publish(self, event: Event) -> None:
        with tracing.trace_sending(event):
            await self._bus.publish(event)

    async def _postpone(self, stored: outbox.StoredEvent, error: Exception) -> None:
        event = stored.event
        _log.error(
            "event %s (%s) of saga %s cannot be published, and later events of the saga wait: %s",
            event.type,
            event.id,
            event.saga_id,
            error,
        )
        reason = f"{wire_type_of(error)}: {error}"
        await self._database.transact(
            partial(outbox.postpone, seq=stored.seq, reason=reason, now=self._clock())
        )


async def _wait_for(event: asyncio.Event, longest: timedelta) -> None:
    """Waits until an event is set, for at most `longest`."""
    try:
        async with asyncio.timeout(longest.total_seconds()):
            await event.wait()
    except TimeoutError:
        pass
