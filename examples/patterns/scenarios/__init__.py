"""The scenarios of the patterns, written like tests with `sagas.testing`."""
