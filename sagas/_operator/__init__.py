"""Seen from outside: finding, showing, steering and rescuing sagas."""
