"""What happens in one database transaction: the inbox, the fence, the business change, and the outbox."""
