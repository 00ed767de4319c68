"""A delivery of a message to an event handler, and the outcome of the attempt."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from .._declarations.event import Event
from .._errors import DeadLetterError, wire_type_of
from .bus import EventHandler
from .cloudevents import BrokerMessage, decode

_LONGEST_REASON = 500
"""Characters of a reason, which may hold the text of any exception."""


@dataclass(frozen=True, slots=True)
class Success:
    """The handler returned."""


@dataclass(frozen=True, slots=True)
class PermanentFailure:
    """The message is unreadable, or the handler refused the event for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class TransientFailure:
    """The handler raised or exceeded the timeout; another attempt may succeed."""

    reason: str


DeliveryOutcome: TypeAlias = Success | PermanentFailure | TransientFailure


@dataclass(frozen=True, slots=True)
class DecodedMessage:
    """A message after decoding.

    Args:
        content: The event, or the reason why the message is unreadable.
        key: Messages with equal keys are handled sequentially: the saga id, or a unique key if unreadable.
    """

    content: Event | DeadLetterError
    key: str


def decode_message(message: BrokerMessage, number: int) -> DecodedMessage:
    """Decodes a message; `number` makes the key of an unreadable message unique."""
    try:
        event = decode(message.body, message.content_type)
    except DeadLetterError as error:
        return DecodedMessage(error, f"\0{number}")
    return DecodedMessage(event, event.saga_id)


async def attempt_delivery(
    content: Event | DeadLetterError, handle: EventHandler, handler_timeout: timedelta
) -> DeliveryOutcome:
    """Gives an event to the handler and classifies the outcome; cancels the handler at the timeout."""
    if isinstance(content, DeadLetterError):
        return PermanentFailure(str(content))
    limit = asyncio.timeout(handler_timeout.total_seconds())
    try:
        async with limit:
            await handle(content)
    except DeadLetterError as error:
        return PermanentFailure(_shorten(error))
    except asyncio.CancelledError as error:
        # A handler may await a task that other code cancels: a failure of the handler, not our cancellation.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return TransientFailure(_describe(error))
    except Exception as error:  # noqa: BLE001 - the queue must survive any exception of a handler
        if isinstance(error, TimeoutError) and limit.expired():
            return TransientFailure(
                f"the handler exceeded its timeout of {handler_timeout.total_seconds():g} s"
            )
        return TransientFailure(_describe(error))
    return Success()


def describe_exhaustion(deliveries: int, reason: str) -> str:
    """Describes why an event at its delivery limit becomes a dead letter."""
    return f"delivered {deliveries} times without success; the last error: {reason}"


def _describe(error: BaseException) -> str:
    text = _shorten(error)
    return f"{wire_type_of(error)}: {text}" if text else wire_type_of(error)


def _shorten(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
