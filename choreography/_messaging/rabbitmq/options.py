"""How the bus on RabbitMQ is run."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitOptions:
    """How much, how long, how often.

    Args:
        patience: How long a publish or a declaration may take, the wait for a connection included.
        handler_deadline: How long a handler may take before it is cancelled; RabbitMQ gives up after 30 min.
        prefetch: How many events of a queue are handled at once, or wait for others of their saga.
        delivery_limit: How often an event is delivered again before it is a dead letter; what ended with a
            connection or a process counts too.
        retry_pause: How long the first new delivery waits for; each further one waits twice as long.
        longest_retry_pause: Where that ends. The other events of the saga wait too.
        watch_every: How often a consumer makes sure that the broker still knows of it.

    Raises:
        ValueError: One of them makes no sense.
    """

    patience: timedelta = timedelta(seconds=10)
    handler_deadline: timedelta = timedelta(seconds=60)
    prefetch: int = 32
    delivery_limit: int = 20
    retry_pause: timedelta = timedelta(seconds=0.1)
    longest_retry_pause: timedelta = timedelta(seconds=10)
    watch_every: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        for name in ("patience", "handler_deadline", "retry_pause", "longest_retry_pause", "watch_every"):
            if getattr(self, name) <= timedelta():
                raise ValueError(f"{name} must be positive")
        if not 1 <= self.prefetch <= 65_535:
            raise ValueError("prefetch must be between 1 and 65535")
        # Two deliveries may be spent on finding out that an event is harmless.
        if self.delivery_limit < 3:
            raise ValueError("delivery_limit must be at least 3")
        if self.handler_deadline + self.longest_retry_pause * 2 > timedelta(minutes=25):
            raise ValueError("RabbitMQ takes an event away that is not answered within 30 minutes")
