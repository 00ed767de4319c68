"""The options of the bus on RabbitMQ."""

from dataclasses import dataclass
from datetime import timedelta

ACKNOWLEDGEMENT_LIMIT = timedelta(minutes=25)
"""RabbitMQ closes the channel of a delivery that stays unacknowledged for 30 minutes; 5 are a reserve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitOptions:
    """Timeouts, limits and intervals of a `RabbitBus`.

    Args:
        broker_timeout: The timeout of a publish or a declaration, including the wait for a connection.
        handler_timeout: The time after which a running handler is cancelled.
        prefetch_count: The number of unacknowledged events per queue: events of different sagas are handled
            concurrently, events of one saga wait for each other.
        delivery_limit: Redeliveries of an event before the event becomes a dead letter; RabbitMQ also counts
            deliveries to lost connections and crashed processes.
        first_retry_delay: The delay before the first redelivery of a failed event, doubled for each further
            redelivery. Other events of the saga wait too.
        longest_retry_delay: The upper limit of this delay.
        consumer_check_interval: The interval between two checks for the consumer on the broker.

    Raises:
        ValueError: An option is out of range.
    """

    broker_timeout: timedelta = timedelta(seconds=10)
    handler_timeout: timedelta = timedelta(seconds=60)
    prefetch_count: int = 32
    delivery_limit: int = 20
    first_retry_delay: timedelta = timedelta(seconds=0.1)
    longest_retry_delay: timedelta = timedelta(seconds=10)
    consumer_check_interval: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        durations = {
            "broker_timeout": self.broker_timeout,
            "handler_timeout": self.handler_timeout,
            "first_retry_delay": self.first_retry_delay,
            "longest_retry_delay": self.longest_retry_delay,
            "consumer_check_interval": self.consumer_check_interval,
        }
        for name, duration in durations.items():
            if duration <= timedelta():
                raise ValueError(f"{name} must be positive, not {duration!r}")
        if not 1 <= self.prefetch_count <= 65_535:
            raise ValueError(f"prefetch_count must be between 1 and 65535, not {self.prefetch_count!r}")
        # The consumer may spend two deliveries on finding out whether an event ends processes.
        if self.delivery_limit < 3:
            raise ValueError(f"delivery_limit must be at least 3, not {self.delivery_limit!r}")
        if self.handler_timeout + self.longest_retry_delay * 2 > ACKNOWLEDGEMENT_LIMIT:
            raise ValueError(
                "handler_timeout plus twice longest_retry_delay must be at most 25 minutes: "
                "RabbitMQ redelivers an event that is not acknowledged within 30 minutes"
            )
