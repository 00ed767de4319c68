"""The bus on RabbitMQ; the only importer of aio-pika."""
