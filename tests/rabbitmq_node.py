"""The embedded RabbitMQ node, as tests need it."""

from workers import EmbeddedRabbit


class RabbitNode(EmbeddedRabbit):
    """A node that can be told to settle before it is killed."""

    async def settle(self) -> None:
        """Writes down which queues there are.

        RabbitMQ 3.10 does so a few seconds after a queue was made; one that it is killed before is there
        again afterwards, but takes nothing and gives nothing for ever.
        """
        await self.control("eval", "[dets:sync(Table) || Table <- dets:all()].")
