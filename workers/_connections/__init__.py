"""Finding Temporal and RabbitMQ, and connecting to Temporal."""
