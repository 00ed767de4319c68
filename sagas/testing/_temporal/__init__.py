"""The runner on a Temporal server."""
