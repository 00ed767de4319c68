"""What steps do: calls to participants, with an idempotency key and a classified answer."""
