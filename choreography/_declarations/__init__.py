"""What an author declares: event types, reactions, participants, and the topology of subscriptions."""
