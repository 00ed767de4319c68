"""A client for a server without the history of a run."""

from dataclasses import replace
from uuid import uuid4

from temporalio.client import (
    FetchWorkflowHistoryEventsInput,
    Interceptor,
    OutboundInterceptor,
    WorkflowHistoryEventAsyncIterator,
)


class LostHistory(Interceptor):
    """Makes the server answer as if the history of a run was not kept any more."""

    def __init__(self, run_id: str | None) -> None:
        self.run_id = run_id

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - Temporal's
        lost = self.run_id

        class Outbound(OutboundInterceptor):
            def fetch_workflow_history_events(
                self,
                input: FetchWorkflowHistoryEventsInput,  # noqa: A002 - Temporal's
            ) -> WorkflowHistoryEventAsyncIterator:
                run_id = str(uuid4()) if input.run_id == lost else input.run_id
                return super().fetch_workflow_history_events(replace(input, run_id=run_id))

        return Outbound(next)
