"""The Temporal plugin that makes sagas usable in the workflows of a client."""
