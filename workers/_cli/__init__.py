"""The `sagas` command."""
