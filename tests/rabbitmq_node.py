"""The embedded RabbitMQ node for tests."""

from workers import EmbeddedRabbitMQ


class RabbitMQNode(EmbeddedRabbitMQ):
    """A node that can write its queue index to the disk before a kill."""

    async def flush_queue_index(self) -> None:
        """Writes the index of queues to the disk.

        RabbitMQ 3.10 writes the index some seconds after the creation of a queue. When the node is killed
        earlier, the queue exists after the restart, but neither accepts nor delivers messages.
        """
        await self.control("eval", "[dets:sync(Table) || Table <- dets:all()].")
