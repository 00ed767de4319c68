"""Tests of `workers` without a server."""
