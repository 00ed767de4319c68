"""What stands between Temporal and the code of workflows and activities, for sagas to be possible."""

import asyncio
from collections.abc import Awaitable
from typing import Any, NoReturn

from opentelemetry import trace
from temporalio import workflow
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.worker import (
    ActivityInboundInterceptor,
    ContinueAsNewInput,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleQueryInput,
    HandleSignalInput,
    HandleUpdateInput,
    Interceptor,
    StartActivityInput,
    StartChildWorkflowInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from .._core.lifecycle import Phase
from .._errors import DefinitionError, RejectedError, SagaError
from .._run.context import RunContext, enter
from .._temporal.handler_arguments import check_update_arguments, signal_mismatch
from .._wire.activity_header import HEADER, event_groups_of
from .._wire.child_saga import CHILD_MEMO, UNACCOUNTED_MEMO, ChildMemo, ChildResult
from .._wire.continued_state import CARRIED_MEMO, ContinuedState
from .._wire.failures import to_application_error, trimmed_cause
from .._wire.operator_requests import Authorize
from .._workflow.saga import Saga
from .handler_errors import answer_of, refuse_to_parent, takes
from .workflow_checks import (
    check_foreign_activity,
    check_workflow_arguments,
    refuse_open_saga,
    refuse_oversized,
)


class SagaInterceptor(Interceptor):
    """Adds to every worker of a client what a saga needs; see `SagaPlugin`."""

    def __init__(self, *, search_attributes: bool, authorize: Authorize | None) -> None:
        self.settings = (search_attributes, authorize)
        # Temporal makes the instances itself, so what the plugin was given goes into a class.
        settings = {
            "search_attributes": search_attributes,
            "authorize": staticmethod(authorize) if authorize else None,
        }
        self._workflow = type("_WorkflowInbound", (_WorkflowInbound,), settings)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _ActivityInbound(next)

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 - the names are Temporal's
    ) -> type[WorkflowInboundInterceptor]:
        return self._workflow


class _ActivityInbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - Temporal's
        # The span of Temporal's own plugin, where there is one.
        span = trace.get_current_span()
        try:
            result = await super().execute_activity(input)
        except RejectedError as refused:
            span.set_attribute("saga.outcome", "rejected")
            raise to_application_error(refused) from trimmed_cause(refused)
        except BaseException:
            span.set_attribute("saga.outcome", "unknown")
            raise
        span.set_attribute("saga.outcome", "done")
        return result


class _WorkflowInbound(WorkflowInboundInterceptor):
    search_attributes = True
    authorize: Authorize | None = None
    _begun: RunContext | None = None

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_WorkflowOutbound(outbound, self))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002 - Temporal's
        run = self.run
        enter(run)
        check_workflow_arguments(input, run)
        try:
            result = await run.guard.protect(self._run_body(run, super().execute_workflow(input)))
        finally:
            run.is_over = True
        answer = ChildResult(result=result, owed=run.owed, by_hand=run.by_hand) if run.is_child else result
        if run.has_saga:
            refuse_oversized(answer)
        return answer

    async def _run_body(self, run: RunContext, body: Awaitable[Any]) -> Any:
        try:
            result = await body
        except (Exception, asyncio.CancelledError) as error:
            if run.carried is not None and not run.has_saga:
                # What an earlier run has done is still to be made up for.
                async with Saga():
                    raise
            refuse_open_saga(run)
            refuse_to_parent(run, error)
            if isinstance(error, Exception) or workflow.cancellation_reason() is not None:
                # Otherwise the workflow is being evicted.
                run.tell_completed()
            raise
        refuse_open_saga(run)
        if run.carried is not None and not run.has_saga:
            # What an earlier run has done is done, and its parent must hear of it.
            async with Saga():
                pass
        return result

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002 - Temporal's
        run = self._let_in()
        if why := signal_mismatch(input):
            workflow.logger.warning("signal %r was passed over: %s", input.signal, why)
            return
        try:
            await super().handle_signal(input)
        except (Exception, asyncio.CancelledError) as error:
            if not takes(run, error, input.signal):
                raise

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002 - Temporal's
        check_update_arguments(input)
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002 - Temporal's
        run = self._let_in()
        check_update_arguments(input)
        try:
            return await super().handle_update_handler(input)
        except SagaError as error:
            answer = answer_of(run, error)
            if answer is error:
                raise
            raise answer from trimmed_cause(error)

    @property
    def run(self) -> RunContext:
        """The workflow run; Temporal may run a handler before the workflow itself."""
        if self._begun is None:
            self._begun = self._begin()
        return self._begun

    def _let_in(self) -> RunContext:
        """Lets a handler of the workflow do steps of its saga; Temporal runs it in a task of its own."""
        enter(self.run)
        self.run.guard.answer()
        return self.run

    def _begin(self) -> RunContext:
        read = workflow.payload_converter().from_payload
        memo = workflow.info().raw_memo
        descent, carried = memo.get(CHILD_MEMO), memo.get(CARRIED_MEMO)
        run = RunContext(
            is_child=descent is not None,
            search_attributes=self.search_attributes,
            is_pivot=descent is not None and read(descent, ChildMemo).is_pivot,
            carried=read(carried, ContinuedState) if carried else None,
            authorize=self.authorize,
            has_activities=UNACCOUNTED_MEMO in memo,
        )
        run.guard.is_shielded = run.carried is not None and run.carried.ledger.phase is Phase.PAST_PIVOT
        # Nothing else tells a workflow that its history was cut, and goes on differently from there.
        workflow.register_random_seed_callback(run.note_reset)
        return run

    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002 - Temporal's
        answer = await super().handle_query(input)
        # Made when somebody looks, as every step of every saga would pay for it otherwise.
        if isinstance(answer, WorkflowMetadata) and self._begun and (details := self._begun.details()):
            answer.current_details = details
        return answer


class _WorkflowOutbound(WorkflowOutboundInterceptor):
    def __init__(self, outbound: WorkflowOutboundInterceptor, inbound: _WorkflowInbound) -> None:
        super().__init__(outbound)
        self._inbound = inbound

    def start_activity(
        self,
        input: StartActivityInput,  # noqa: A002 - Temporal's
    ) -> workflow.ActivityHandle[Any]:
        run = self._inbound.run
        if run.mark is not None:
            if input.activity_id is not None:
                run.note_activity(input.activity_id, is_of_saga=True)
            input.headers = {**input.headers, HEADER: run.mark}
            input.event_groups = event_groups_of(input.activity_id)
            run.mark = None
            return super().start_activity(input)
        run.has_activities = True
        if input.activity_id is not None:
            run.note_activity(input.activity_id, is_of_saga=False)
        if run.has_saga:
            check_foreign_activity(input, run)
        handle = super().start_activity(input)
        if input.activity_id is not None:
            run.own[input.activity_id] = handle
        return handle

    def start_local_activity(
        self,
        input: StartLocalActivityInput,  # noqa: A002 - Temporal's
    ) -> workflow.ActivityHandle[Any]:
        self._inbound.run.has_activities = True
        return super().start_local_activity(input)

    async def start_child_workflow(
        self,
        input: StartChildWorkflowInput,  # noqa: A002 - Temporal's
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        if CHILD_MEMO not in (input.memo or {}):
            self._inbound.run.has_activities = True
        return await super().start_child_workflow(input)

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:  # noqa: A002 - Temporal's
        run = self._inbound.run
        is_ours = input.memo is not None and CARRIED_MEMO in input.memo
        if (run.has_saga or run.carried is not None) and not is_ours:
            raise DefinitionError(
                "a workflow that continues as new by itself forgets what its saga has done: "
                "use `saga.continue_as_new`"
            )
        if not is_ours:
            input.memo = run.memo_of_next(input.memo)
        super().continue_as_new(input)
