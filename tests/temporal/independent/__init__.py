"""Independent sagas on a real server."""
