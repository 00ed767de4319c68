"""How events travel between participants: the bus, the CloudEvents encoding, deliveries and dead letters."""
