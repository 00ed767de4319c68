"""The pytest plugin: a Temporal server for a test session, and a client for sagas."""
