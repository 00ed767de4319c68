"""Converts messages between this package and aio-pika."""

from typing import cast

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, HeadersType

from ..cloudevents import BrokerMessage


def to_amqp(message: BrokerMessage) -> aio_pika.Message:
    """Converts a message for publishing; the broker stores the message on disk."""
    return aio_pika.Message(
        message.body,
        # Headers of a republished message came over AMQP, so AMQP can carry them.
        headers=cast("HeadersType", dict(message.headers)),
        content_type=message.content_type,
        message_id=message.message_id,
        type=message.type,
        correlation_id=message.correlation_id,
        app_id=message.app_id,
        timestamp=message.timestamp,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )


def from_amqp(incoming: AbstractIncomingMessage) -> BrokerMessage:
    """Converts a received message."""
    return BrokerMessage(
        body=incoming.body,
        content_type=incoming.content_type,
        headers={**incoming.headers},
        message_id=incoming.message_id,
        type=incoming.type,
        correlation_id=incoming.correlation_id,
        app_id=incoming.app_id,
        timestamp=incoming.timestamp,
    )
