"""The search attribute with the status of a saga."""

from temporalio.common import SearchAttributeKey

SAGA_STATUS = SearchAttributeKey.for_keyword("SagaStatus")
"""The search attribute with the status of a saga that has left the forward path; register as a Keyword.

With `SagaPlugin(search_attributes=False)` a memo of the same name has the status instead.
"""
