"""The declarations of an author: event types, reactions, participants, and the topology of subscriptions."""
