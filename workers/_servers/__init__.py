"""Embedded Temporal and RabbitMQ servers, and the child processes that run them."""
