"""The URL of a RabbitMQ broker, printable without credentials."""

from urllib.parse import urlsplit, urlunsplit

HEARTBEAT = 10
"""Seconds between heartbeats; a connection without traffic for about three intervals is closed."""
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class BrokerUrl:
    """The URL of a broker; `repr` shows host, port and virtual host, never the credentials.

    Args:
        url: `amqp://user:password@host:port/vhost`, or `amqps:` with TLS.

    Raises:
        ValueError: The URL has another form.
    """

    def __init__(self, url: str) -> None:
        # The message repeats no part of the URL, which may hold a password.
        problem = "the URL of RabbitMQ must look like amqp://user:password@host:port/vhost"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(problem) from None
        if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
            raise ValueError(problem)
        port = port or (5671 if parts.scheme == "amqps" else 5672)
        self._printable = f"{parts.hostname}:{port}{parts.path.rstrip('/')}"
        self.is_unencrypted = parts.scheme == "amqp" and parts.hostname not in LOOPBACK
        query = parts.query if "heartbeat=" in parts.query else f"{parts.query}&heartbeat={HEARTBEAT}"
        self.value = urlunsplit(parts._replace(query=query.lstrip("&")))

    def __repr__(self) -> str:
        return f"RabbitMQ at {self._printable}"
