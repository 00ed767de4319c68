"""The bus on RabbitMQ connects to an unavailable broker later, and refuses wrong settings."""

import logging
from datetime import timedelta

import pytest

from choreography import (
    BusUnavailableError,
    RabbitBus,
    RabbitOptions,
    Topology,
    TopologyError,
)
from tests.rabbitmq_node import RabbitMQNode
from tests.waiting import until

from .shop import IMPATIENT, LIMIT, Shop, declares, open_bus, publish_until_safe


async def test_an_unavailable_broker_is_an_error_at_first_and_a_pause_later(
    crashable: RabbitMQNode, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Declaring and publishing raise while the broker is unavailable, and work when the broker is back."""
    crashable.kill()
    async with RabbitBus(crashable.url, options=IMPATIENT) as bus:
        with pytest.raises(BusUnavailableError, match=f"RabbitMQ at {crashable.address} .*is unreachable"):
            await bus.declare(shop.topology)
        await crashable.restart()
        await until(lambda: declares(bus, shop))
        await crashable.flush_queue_index()
        async with bus.consume(shop.payment, shop.handle):
            await publish_until_safe(bus, shop.event())
            await until(lambda: bool(shop.events))
            crashable.kill()
            with pytest.raises(
                BusUnavailableError, match=r"Connect call failed|lost|closed|not connected|reset"
            ):
                await bus.publish(shop.event(number=2))
            await crashable.restart()
            await publish_until_safe(bus, shop.event(number=2))
            await until(lambda: len(shop.ids) == 2)
    ours = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert ours
    assert {record.name.partition(".")[0] for record in ours} == {"choreography"}
    assert all("\n" not in record.getMessage() and not record.exc_info for record in ours)


async def test_a_bus_can_be_closed_without_a_broker(crashable: RabbitMQNode, shop: Shop) -> None:
    """Closing does not wait for an unavailable broker."""
    async with open_bus(crashable, shop) as bus, bus.consume(shop.payment, shop.handle):
        crashable.kill()


async def test_a_queue_with_other_arguments_is_refused(rabbit: RabbitMQNode, shop: Shop) -> None:
    """A queue with other arguments would break a guarantee of the bus."""
    async with open_bus(rabbit, shop) as bus:
        other = RabbitOptions(delivery_limit=LIMIT + 1)
        async with RabbitBus(rabbit.url, options=other) as second:
            with pytest.raises(TopologyError, match="x-delivery-limit"):
                await second.declare(shop.topology)
        await bus.publish(shop.event())


@pytest.mark.parametrize("url", ["amqp://user:s3cret@{}/", "amqp://user:%73s3cret@{}/vhost?heartbeat=5"])
async def test_the_password_is_never_shown(
    rabbit: RabbitMQNode, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the most verbose log nor an error has the password."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="aiormq")
    async with RabbitBus(url.format(rabbit.address), options=IMPATIENT) as bus:
        error_text = ""
        try:
            await bus.declare(Topology(queues={}))
        except BusUnavailableError as error:
            error_text = str(error)
        assert "RabbitMQ at 127.0.0.1" in caplog.text
        assert "s3cret" not in f"{error_text} {bus!r} {caplog.text}"


@pytest.mark.parametrize(
    "url", ["", "http://u:s3cret@host", "amqp:", "amqp://u:s3cret@host:port", "host:5672"]
)
def test_an_invalid_url_is_refused(url: str) -> None:
    """The error comes before the first connection, and does not repeat the URL."""
    with pytest.raises(ValueError, match="must look like") as caught:
        RabbitBus(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"broker_timeout": timedelta()},
        {"prefetch_count": 0},
        {"prefetch_count": 70_000},
        {"delivery_limit": 2},
        {"handler_timeout": timedelta(minutes=29)},
    ],
)
def test_options_out_of_range_are_refused(change: dict[str, object]) -> None:
    """The constructor refuses the value."""
    with pytest.raises(ValueError, match=r"must be|30 minutes"):
        RabbitOptions(**change)  # type: ignore[arg-type]
