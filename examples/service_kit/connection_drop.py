"""Dropped connections: lets a request cut the TCP connection, to lose the reply."""

import asyncio
from typing import Any

from fastapi import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

EXTENSION = "examples.drop_connection"
"""The ASGI extension for cutting the connection of a request."""


class DroppableConnection(H11Protocol):
    """An HTTP connection with the extension."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Offers the cut to the application, as an ASGI extension."""
        super().connection_made(transport)
        app = self.app

        async def droppable(scope: Any, receive: Any, send: Any) -> None:  # Any: ASGI's own types
            extensions = {**scope.get("extensions", {}), EXTENSION: transport.abort}
            await app({**scope, "extensions": extensions}, receive, send)

        self.app = droppable


async def drop_connection(request: Request) -> None:
    """Cuts the connection of a request: the client cannot know whether there was an effect.

    Raises:
        ConnectionAbortedError: The server does not use `DroppableConnection`.
    """
    abort = request.scope.get("extensions", {}).get(EXTENSION)
    if abort is None:
        raise ConnectionAbortedError("this server cannot drop its connections")
    abort()
    # The server must have seen the end of the connection before the reply, and then discards the reply.
    await asyncio.sleep(0)
