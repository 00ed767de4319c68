"""Limits on the size of messages."""

LARGEST_MESSAGE = 1024 * 1024
"""Bytes of one message. A workflow that sends more than 2 MiB at once fails each workflow task."""
