"""Example sagas and their services; see `order`, `payment` and `compare`."""
