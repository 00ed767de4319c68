"""Reads sagas from workflow histories, without running workflow code."""
