"""Tests of `activities` that need no server."""
