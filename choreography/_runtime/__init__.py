"""The runtime of a participant: the runner, the outbox relay, and fault injection for tests."""
