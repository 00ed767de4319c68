"""Adapters for temporalio: payload converter, sandbox, metrics and handler arguments."""
