"""Patterns: small sagas for situations that other systems name, each in one file, with scenarios."""
