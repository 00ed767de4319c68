"""The check for aio-pika, the client library for RabbitMQ, which the extra `choreography` installs."""

from importlib.util import find_spec

CLIENT_LIBRARY = "aio_pika"


def require_client_library() -> None:
    """Refuses to continue without the client library.

    Raises:
        ModuleNotFoundError: The library is missing; the message names the extra to install.
    """
    if find_spec(CLIENT_LIBRARY) is None:
        raise ModuleNotFoundError(
            "the package 'choreography' needs aio-pika; type: pip install 'durable-sagas[choreography]'",
            name=CLIENT_LIBRARY,
        )


require_client_library()
