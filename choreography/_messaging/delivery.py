"""One attempt at an event: whether its handler did it, refused it, or failed."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from .._declarations.event import Event
from .._errors import DeadLetterError
from .bus import Handler

_LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class Handled:
    """The handler returned: the event is done with."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The handler will never take the event."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised, or took too long; another attempt may work."""

    reason: str


async def attempt(handle: Handler, event: Event, deadline: timedelta) -> Handled | Refused | Failed:
    """Hands an event to its handler, which is cancelled at the deadline, and says what came of it."""
    limit = asyncio.timeout(deadline.total_seconds())
    try:
        async with limit:
            await handle(event)
    except DeadLetterError as error:
        return Refused(_shown(error))
    except asyncio.CancelledError as error:
        # A handler may await something that somebody else cancels; that is its failure, not our end.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return Failed(_described(error))
    except Exception as error:  # noqa: BLE001 - whatever a handler raises, the queue goes on
        if isinstance(error, TimeoutError) and limit.expired():
            return Failed(f"took longer than {deadline.total_seconds():g} s")
        return Failed(_described(error))
    return Handled()


def failed_too_often(deliveries: int, reason: str) -> str:
    """Why an event is put aside that was delivered as often as it may be."""
    return f"delivered {deliveries} times and never handled, the last time: {reason}"


def _described(error: BaseException) -> str:
    text = _shown(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _shown(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."
