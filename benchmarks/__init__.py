"""The costs of sagas, as ratios to the costs of the same work without the SDK."""
