"""Finding the RabbitMQ broker: the one that SAGAS_AMQP_URL names, or else the embedded one."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from .._configuration.settings import Settings
from .._servers.rabbitmq_node import find_running_broker


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerTarget:
    """Which RabbitMQ broker sagas run on.

    Args:
        url: Where it is and how to get in; not shown, as it holds the password.
        is_embedded: Whether it is ours; otherwise SAGAS_AMQP_URL names it.
    """

    url: str = field(repr=False)
    is_embedded: bool

    @property
    def address(self) -> str:
        """Its URL for people and logs, without the password and without options."""
        return without_password(self.url)


def find_broker(settings: Settings) -> BrokerTarget | None:
    """Finds the broker to connect to, without connecting; None where none is named and none runs."""
    return configured_broker(settings) or _embedded_broker(settings)


def configured_broker(settings: Settings) -> BrokerTarget | None:
    """The broker that SAGAS_AMQP_URL names; None where it names none."""
    if settings.amqp_url is None:
        return None
    return BrokerTarget(url=settings.amqp_url.get_secret_value(), is_embedded=False)


def without_password(url: str) -> str:
    """A URL for people: the password is left out, and so are options, which may hold one too."""
    parts = urlsplit(url)
    user, at, place = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{place}{parts.path}"


def _embedded_broker(settings: Settings) -> BrokerTarget | None:
    broker = find_running_broker(settings.data_folder)
    return None if broker is None else BrokerTarget(url=broker.url, is_embedded=True)
