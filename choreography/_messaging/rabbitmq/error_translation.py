"""Translates the errors of aio-pika, and closes broken connections."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from aio_pika.abc import AbstractChannel, AbstractConnection

from ..._errors import BusUnavailableError, TopologyError, UnroutableError

CLOSE_TIMEOUT = 5.0
"""Seconds to wait for the broker's answer when a connection or a channel is closed."""


@asynccontextmanager
async def translate_errors(where: object) -> AsyncGenerator[None, None]:
    """Translates every error of the library to `BusUnavailableError`; `where` is named in the message."""
    try:
        yield
    except (BusUnavailableError, UnroutableError, TopologyError):
        raise
    except asyncio.CancelledError as error:
        # The library cancels tasks that wait for a broken connection, without a request of their owner.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BusUnavailableError(f"{where!r} closed the connection") from error
    # The library also raises a bare Exception, and RuntimeError for a closed channel.
    except Exception as error:
        raise BusUnavailableError(f"{where!r} is unreachable: {describe_error(error)}") from error


def describe_error(error: BaseException | None) -> str:
    """Describes an error of the library in a line of at most 300 characters."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = " ".join(str(error).split())
    return f"{type(error).__name__} {text}".strip()[:300]


async def close_quietly(resource: AbstractConnection | AbstractChannel) -> None:
    """Closes a possibly broken connection or channel; ignores errors and a missing answer."""
    if isinstance(resource, AbstractChannel) and not resource.is_initialized:
        return
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await resource.close()
