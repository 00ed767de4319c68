"""The Temporal plugin for the use of sagas in the workflows of a client."""
