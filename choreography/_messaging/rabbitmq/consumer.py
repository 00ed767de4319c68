"""Consumes a queue across lost connections, and answers each message: acknowledge, requeue or dead letter."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Self

from ..._backoff import Backoff
from ..._declarations.event import Event
from ..._errors import BusUnavailableError, DeadLetterError, TopologyError, UnroutableError
from ..bus import EventHandler
from ..cloudevents import BrokerMessage
from ..delivery import (
    PermanentFailure,
    Success,
    TransientFailure,
    attempt_delivery,
    decode_message,
    describe_exhaustion,
)
from ..keyed_executor import KeyedExecutor
from ..task_cancellation import cancel_and_wait
from .connection import RECONNECT_BACKOFF, ManagedConnection
from .options import RabbitOptions
from .subscription import IncomingMessage, subscribe

_log = logging.getLogger(__name__)

SUSPECT_DELIVERIES = 2
"""Unanswered deliveries after which an event is suspected of ending connections or processes."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    incoming: IncomingMessage
    content: Event | DeadLetterError


class Consumer:
    """Consumes a queue while the context is open, across losses of the connection or the broker.

    Handlers run in separate tasks, because the tasks of a connection end with the connection. After a loss of
    the connection, a running handler runs to its end; the redelivered event waits for this end.

    A consumer starts with a prefetch count of one: when a connection or a process ends, the broker counts a
    failed delivery for every unanswered event, so an event that ends every process would drag the others to
    the dead letters. When an event arrives that is not suspect, the consumer subscribes again with the
    configured prefetch count.

    Args:
        connection: The connection to the broker.
        queue: The name of the queue.
        handle: Receives the events of a saga sequentially.
        publish_dead_letter: Publishes a refused message with the reason.
        options: Timeouts, limits and intervals.
    """

    def __init__(
        self,
        connection: ManagedConnection,
        queue: str,
        handle: EventHandler,
        publish_dead_letter: Callable[[BrokerMessage, str], Awaitable[None]],
        options: RabbitOptions,
    ) -> None:
        self._connection, self._queue, self._handle = connection, queue, handle
        self._publish_dead_letter, self._options = publish_dead_letter, options
        self._retry_backoff = Backoff(first=options.first_retry_delay, longest=options.longest_retry_delay)
        self._executor = KeyedExecutor(self._process)
        self._received = self._unanswered = 0
        self._is_cautious = True
        self._ended = asyncio.Event()
        self._stopping = asyncio.Event()
        self._consuming: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._consuming = asyncio.create_task(self._stay_subscribed())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        try:
            # Subscribed until the handlers end: otherwise the next consumer would run beside them.
            await self._executor.close()
        finally:
            if self._consuming is not None:
                await cancel_and_wait(self._consuming)

    async def _stay_subscribed(self) -> None:
        failures = 0
        while True:
            was_cautious = self._is_cautious
            try:
                self._unanswered = 0
                prefetch = 1 if was_cautious else self._options.prefetch_count
                async with subscribe(self._connection, self._queue, prefetch, self._receive) as self._ended:
                    _log.info(
                        "consuming queue %r of %r with prefetch count %d",
                        self._queue,
                        self._connection,
                        prefetch,
                    )
                    failures = 0
                    await self._wait_until_ended(self._ended)
                if was_cautious and not self._is_cautious:
                    continue
                _log.warning("the consumer of queue %r was interrupted; subscribing again", self._queue)
            except (BusUnavailableError, TopologyError) as error:
                failures += 1
                # Logged at failures 1, 2, 4, 8 and so on.
                if failures & (failures - 1) == 0:
                    _log.warning("queue %r cannot be consumed (%s); trying again", self._queue, error)
            self._is_cautious = True
            await asyncio.sleep(RECONNECT_BACKOFF.interval_after(max(failures, 1)).total_seconds())

    async def _wait_until_ended(self, ended: asyncio.Event) -> None:
        """Returns when the subscription has ended, with or without a notice of the broker."""
        while not ended.is_set():
            received = self._received
            with suppress(TimeoutError):
                async with asyncio.timeout(self._options.consumer_check_interval.total_seconds()):
                    await ended.wait()
                    return
            try:
                state = await self._connection.read_queue_state(self._queue)
            except BusUnavailableError:
                # A dead connection looks open until its heartbeats are missed.
                self._connection.reconnect()
                raise
            if state is None or state.consumers == 0:
                _log.warning("%r has no consumer of queue %r any more", self._connection, self._queue)
                return
            # A stand-by consumer in another process sees the same state; subscribing again does no harm.
            if state.ready and self._received == received and not self._unanswered:
                _log.info("queue %r has %d events, and this consumer received none", self._queue, state.ready)
                return

    def _receive(self, incoming: IncomingMessage) -> None:
        if self._is_cautious and incoming.previous_deliveries < SUSPECT_DELIVERIES:
            self._end_caution()
        # The broker redelivers messages of an abandoned channel.
        if incoming.is_stale:
            return
        self._received += 1
        self._unanswered += 1
        decoded = decode_message(incoming.message, self._received)
        self._executor.submit(decoded.key, _Delivery(incoming, decoded.content))

    def _end_caution(self) -> None:
        """Ends the subscription; the next subscription has the configured prefetch count."""
        self._is_cautious = False
        self._ended.set()

    async def _process(self, delivery: _Delivery) -> None:
        incoming = delivery.incoming
        # The broker redelivers a stale message; handling the message twice would only cost time.
        if incoming.is_stale:
            return
        match await attempt_delivery(delivery.content, self._handle, self._options.handler_timeout):
            case Success():
                await incoming.acknowledge()
            case PermanentFailure(reason):
                await self._move_to_dead_letters(incoming, reason)
            case TransientFailure(reason):
                await self._retry(incoming, reason)
        if not incoming.is_stale:
            self._unanswered -= 1

    async def _retry(self, incoming: IncomingMessage, reason: str) -> None:
        deliveries = incoming.previous_deliveries + 1
        if deliveries > self._options.delivery_limit:
            await self._move_to_dead_letters(incoming, describe_exhaustion(deliveries, reason))
            return
        _log.warning(
            "%s in queue %r failed at delivery %d: %s", _describe(incoming), self._queue, deliveries, reason
        )
        if self._is_cautious:
            # The event fails but ends no process: the other events need not wait any longer.
            self._end_caution()
            return
        await self._pause(self._retry_backoff, deliveries)
        await incoming.requeue()

    async def _move_to_dead_letters(self, incoming: IncomingMessage, reason: str) -> None:
        """Retries until the dead letter is published, or another consumer has received the message."""
        for failures in count(1):
            if incoming.is_stale or (failures > 1 and self._stopping.is_set()):
                return
            try:
                await self._publish_dead_letter(incoming.message, reason)
            except (BusUnavailableError, UnroutableError) as error:
                _log.warning(
                    "%s in queue %r cannot move to the dead letters: %s",
                    _describe(incoming),
                    self._queue,
                    error,
                )
                await self._pause(RECONNECT_BACKOFF, failures)
            else:
                _log.error(
                    "%s in queue %r became a dead letter: %s", _describe(incoming), self._queue, reason
                )
                await incoming.acknowledge()
                return

    async def _pause(self, backoff: Backoff, failures: int) -> None:
        """Waits for the pause, or until the consumer is stopping."""
        with suppress(TimeoutError):
            async with asyncio.timeout(backoff.interval_after(failures).total_seconds()):
                await self._stopping.wait()


def _describe(incoming: IncomingMessage) -> str:
    return f"event {incoming.message.message_id!r} ({incoming.message.type!r})"
