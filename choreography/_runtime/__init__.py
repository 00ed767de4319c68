"""What runs a participant: its event consumer, its outbox relay, and the injection of faults for tests."""
