"""Finding the RabbitMQ broker: the broker that SAGAS_AMQP_URL names, else the embedded node."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .._configuration.settings import Settings
from .._servers.rabbitmq_node import find_running_rabbitmq


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMQEndpoint:
    """The RabbitMQ broker that participants publish to and consume from.

    Args:
        url: The URL with the credentials; left out of `repr`.
        is_embedded: Whether the broker is the embedded node.
    """

    url: str = field(repr=False)
    is_embedded: bool

    @property
    def address(self) -> str:
        """The URL for people and logs: without the password and without the query."""
        return remove_password(self.url)


def find_rabbitmq_broker(settings: Settings) -> RabbitMQEndpoint | None:
    """Finds the broker without connecting; None when no broker is configured and no embedded node runs."""
    if configured := find_configured_broker(settings):
        return configured
    embedded = find_running_rabbitmq(settings.data_folder)
    return RabbitMQEndpoint(url=embedded.url, is_embedded=True) if embedded else None


def find_configured_broker(settings: Settings) -> RabbitMQEndpoint | None:
    """Finds the broker that SAGAS_AMQP_URL names; None when the variable is not set."""
    if settings.amqp_url is None:
        return None
    return RabbitMQEndpoint(url=settings.amqp_url.get_secret_value(), is_embedded=False)


def remove_password(url: str) -> str:
    """Removes the password of a URL, and the query, which may hold a password too."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{place}{parts.path}"
