"""The transaction of a participant: the inbox, the fence, the business change, and the outbox."""
