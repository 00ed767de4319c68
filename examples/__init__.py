"""Example sagas and the services that take part in them."""
