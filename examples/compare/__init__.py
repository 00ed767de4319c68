"""The demo and the comparison: every service, worker and server of the examples, run together."""
