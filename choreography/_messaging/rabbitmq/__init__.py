"""The bus on RabbitMQ; the only importer of aio-pika."""

from . import client_library

__all__ = ["client_library"]
