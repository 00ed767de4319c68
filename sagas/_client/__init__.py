"""Starting sagas from a client."""
