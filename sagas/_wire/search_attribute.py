"""The search attribute by which sagas are found."""

from temporalio.common import SearchAttributeKey

SAGA_STATUS = SearchAttributeKey.for_keyword("SagaStatus")
"""The search attribute by which sagas that left the happy path are found; register it as a Keyword.

Where it is not written, a memo of the same name says the same."""
