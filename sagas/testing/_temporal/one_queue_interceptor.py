"""The interceptor of a test's worker: a single task queue, and short timeouts where a script hangs."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from temporalio.worker import (
    Interceptor,
    StartActivityInput,
    StartChildWorkflowInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)
from temporalio.workflow import ActivityHandle, ChildWorkflowHandle

from ..._core.ids import address_of
from .._script.responses import ATTEMPT_TIMEOUT

MayHang = Callable[[str, str], bool]


class OneQueueInterceptor(Interceptor):
    """Sends every activity and every child to the task queue of the test.

    Args:
        may_hang: Whether an attempt may report nothing, by the activity id and the address of the step.
    """

    def __init__(self, may_hang: MayHang) -> None:
        # Temporal creates the instances from a class.
        self._workflow = type("_OneQueueInbound", (_OneQueueInbound,), {"may_hang": staticmethod(may_hang)})

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 - the names are Temporal's
    ) -> type[WorkflowInboundInterceptor]:
        return self._workflow


class _OneQueueInbound(WorkflowInboundInterceptor):
    may_hang: MayHang

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_OneQueueOutbound(outbound, self.may_hang))


class _OneQueueOutbound(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, may_hang: MayHang) -> None:  # noqa: A002 - Temporal's
        super().__init__(next)
        self._may_hang = may_hang

    def start_activity(self, input: StartActivityInput) -> ActivityHandle[Any]:  # noqa: A002 - Temporal's
        input.task_queue = None
        activity_id = input.activity_id or ""
        if self._may_hang(activity_id, address_of(activity_id)):
            input.start_to_close_timeout = min(input.start_to_close_timeout or timedelta.max, ATTEMPT_TIMEOUT)
        return super().start_activity(input)

    async def start_child_workflow(
        self,
        input: StartChildWorkflowInput,  # noqa: A002 - Temporal's
    ) -> ChildWorkflowHandle[Any, Any]:
        input.task_queue = None
        return await super().start_child_workflow(input)
