"""A participant as an HTTP and event service, with injected faults; knows no particular domain."""
