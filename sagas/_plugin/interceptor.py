"""The interceptor between Temporal and the code of workflows and activities."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, NoReturn, TypeVar

from opentelemetry import trace
from temporalio import workflow
from temporalio.api.common.v1 import Payload
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
    StartNexusOperationInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from .._core.lifecycle import Lifecycle
from .._errors import DefinitionError, RejectedError, SagaError, WireFormatError
from .._run.activity_header_context import current_activity_header
from .._run.bugs import reported
from .._run.context import RunContext, enter_context
from .._run.status_details import render_details
from .._temporal.handler_arguments import check_update_arguments, signal_mismatch
from .._wire.activity_header import FOREIGN_MARK, FOREIGN_WORK, HEADER, event_groups_of
from .._wire.child_saga import CHILD_MEMO, FOREIGN_WORK_MEMO, INDEPENDENT_MEMO, ChildMemo, ChildResult
from .._wire.continued_state import CONTINUED_STATE_MEMO, ContinuedState
from .._wire.failures import to_application_error, trimmed_cause
from .._wire.operator_requests import Authorize
from .._wire.reportable_error import reportable
from .._wire.stored_model import StoredModel
from .._workflow.saga import Saga
from .handler_errors import absorb_signal_error, refuse_to_parent, update_error
from .workflow_checks import (
    check_foreign_activity,
    check_foreign_work,
    check_workflow_arguments,
    refuse_open_saga,
    refuse_oversized,
)

ModelT = TypeVar("ModelT", bound=StoredModel)
InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")


class SagaInterceptor(Interceptor):
    """Adds the saga's interceptors to every worker of a client; see `SagaPlugin`."""

    def __init__(self, *, search_attributes: bool, authorize: Authorize | None) -> None:
        self.settings = (search_attributes, authorize)
        # Temporal creates the instances from a class, so the settings of the plugin are attributes of the
        # class.
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
        # The current span belongs to Temporal's own OpenTelemetry plugin, where the plugin is installed.
        span = trace.get_current_span()
        try:
            result = await super().execute_activity(input)
        except RejectedError as refused:
            span.set_attribute("saga.outcome", "rejected")
            raise to_application_error(refused) from trimmed_cause(refused)
        except Exception as error:  # noqa: BLE001 - the code of an activity may raise anything
            span.set_attribute("saga.outcome", "unknown")
            # Temporal logs the error with the causes.
            raise reportable(error)  # noqa: B904 - a reportable error has causes of its own
        except BaseException:
            span.set_attribute("saga.outcome", "unknown")
            raise
        span.set_attribute("saga.outcome", "done")
        return result


class _WorkflowInbound(WorkflowInboundInterceptor):
    search_attributes = True
    authorize: Authorize | None = None
    _context: RunContext | None = None

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_WorkflowOutbound(outbound, self))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002 - Temporal's
        context = self.context
        enter_context(context)
        check_workflow_arguments(input, context)
        try:
            result = await context.shield.protect(self._run_body(context, super().execute_workflow(input)))
        finally:
            context.has_returned = True
        output = result
        if context.is_child:
            output = ChildResult(
                result=result,
                compensations=context.pending_for_parent,
                manual_resolutions=context.resolutions_for_parent,
                confirmations=context.confirmations_for_parent,
            )
        if context.has_saga:
            refuse_oversized(output)
        return output

    async def _run_body(self, context: RunContext, body: Awaitable[Any]) -> Any:
        try:
            result = await body
        except (Exception, asyncio.CancelledError) as error:
            if context.continued is not None and not context.has_saga:
                # The steps of an earlier run are still to be compensated.
                async with Saga():
                    raise
            refuse_open_saga(context)
            refuse_to_parent(context, error)
            if isinstance(error, Exception) or workflow.cancellation_reason() is not None:
                # Otherwise the workflow is being evicted.
                context.publish_completion()
            if isinstance(error, Exception):
                raise reported(error)  # noqa: B904 - a reported error has causes of its own
            raise
        refuse_open_saga(context)
        if context.continued is not None and not context.has_saga:
            # The result for the parent must contain the compensations of an earlier run.
            async with Saga():
                pass
        return result

    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002 - Temporal's
        context = self._enter_handler()
        if mismatch := signal_mismatch(input):
            workflow.logger.warning("signal %r was ignored: %s", input.signal, mismatch)
            return
        try:
            await super().handle_signal(input)
        except (Exception, asyncio.CancelledError) as error:
            if not absorb_signal_error(context, error, input.signal):
                if isinstance(error, Exception):
                    raise reported(error)  # noqa: B904 - a reported error has causes of its own
                raise

    def handle_update_validator(self, input: HandleUpdateInput) -> None:  # noqa: A002 - Temporal's
        check_update_arguments(input)
        super().handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:  # noqa: A002 - Temporal's
        context = self._enter_handler()
        check_update_arguments(input)
        try:
            return await super().handle_update_handler(input)
        except (SagaError, ExceptionGroup) as error:
            translated = update_error(context, error)
            if translated is error:
                raise
            raise translated from trimmed_cause(error)
        except Exception as error:  # noqa: BLE001 - the code of a handler may raise anything
            raise reported(error)  # noqa: B904 - a reported error has causes of its own

    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002 - Temporal's
        result = await super().handle_query(input)
        # Rendered on request only: otherwise every step of every saga would pay for the details.
        scope = self._context and self._context.scope
        if isinstance(result, WorkflowMetadata) and scope:
            result.current_details = render_details(scope)
        return result

    @property
    def context(self) -> RunContext:
        """The context of the run; created on demand, as Temporal may run a handler first."""
        if self._context is None:
            self._context = self._make_context()
        return self._context

    def _enter_handler(self) -> RunContext:
        """Prepares the current task, in which Temporal runs a handler, for steps of the saga."""
        enter_context(self.context)
        self.context.shield.make_current()
        return self.context

    def _make_context(self) -> RunContext:
        memo = workflow.info().raw_memo
        child = _read_memo(memo, CHILD_MEMO, ChildMemo)
        continued = _read_memo(memo, CONTINUED_STATE_MEMO, ContinuedState)
        context = RunContext(
            is_child=child is not None,
            is_pivot_child=child is not None and child.is_pivot,
            search_attributes=self.search_attributes,
            continued=continued,
            authorize=self.authorize,
            has_foreign_work=FOREIGN_WORK_MEMO in memo,
            lifecycle=Lifecycle(
                starts_past_pivot=continued is not None and continued.is_past_pivot,
                resolutions=dict(continued.manual_resolutions) if continued else {},
            ),
        )
        # A new random seed is the only sign of a reset, after which a workflow may take another course.
        workflow.register_random_seed_callback(context.note_reset)
        return context


def _read_memo(memo: Mapping[str, Payload], key: str, model: type[ModelT]) -> ModelT | None:
    """Reads a stored model from the memo of the workflow.

    Raises:
        WireFormatError: The model has another wire format.
        DefinitionError: The model cannot be read. Like `WireFormatError`, the error fails the workflow task:
            an error that ends the workflow would lose the compensations of earlier runs.
    """
    if key not in memo:
        return None
    try:
        return workflow.payload_converter().from_payload(memo[key], model)
    except WireFormatError:
        raise
    except Exception as error:  # noqa: BLE001 - a converter may raise anything
        raise DefinitionError(
            f"this version of sagas cannot read the memo {key!r}: {type(error).__name__}"
        ) from reportable(error)


class _WorkflowOutbound(WorkflowOutboundInterceptor):
    def __init__(self, outbound: WorkflowOutboundInterceptor, inbound: _WorkflowInbound) -> None:
        super().__init__(outbound)
        self._inbound = inbound

    def start_activity(
        self,
        input: StartActivityInput,  # noqa: A002 - Temporal's
    ) -> workflow.ActivityHandle[Any]:
        context = self._inbound.context
        if (header := current_activity_header()) is not None:
            if input.activity_id is not None:
                context.note_activity(input.activity_id, is_of_saga=True)
            input.headers = {**input.headers, HEADER: header}
            input.event_groups = event_groups_of(input.activity_id)
            return super().start_activity(input)
        input.headers = self._enter_foreign_work(input.activity, "activity", input.headers)
        if input.activity_id is not None:
            context.note_activity(input.activity_id, is_of_saga=False)
        if context.has_saga:
            check_foreign_activity(input, context)
        handle = super().start_activity(input)
        if input.activity_id is not None:
            context.foreign_activities[input.activity_id] = handle
        return handle

    def start_local_activity(
        self,
        input: StartLocalActivityInput,  # noqa: A002 - Temporal's
    ) -> workflow.ActivityHandle[Any]:
        self._enter_foreign_work(input.activity, "local activity", input.headers)
        return super().start_local_activity(input)

    async def start_child_workflow(
        self,
        input: StartChildWorkflowInput,  # noqa: A002 - Temporal's
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        if not {CHILD_MEMO, INDEPENDENT_MEMO} & (input.memo or {}).keys():
            input.headers = self._enter_foreign_work(input.workflow, "child workflow", input.headers)
        return await super().start_child_workflow(input)

    async def start_nexus_operation(
        self,
        input: StartNexusOperationInput[InputT, OutputT],  # noqa: A002 - Temporal's
    ) -> workflow.NexusOperationHandle[OutputT]:
        context = self._inbound.context
        check_foreign_work(input.operation_name, "Nexus operation", context)
        if context.lifecycle.is_open:
            input.headers = {**(input.headers or {}), FOREIGN_WORK: "true"}
        return await super().start_nexus_operation(input)

    def _enter_foreign_work(
        self, name: str, kind: str, headers: Mapping[str, Payload]
    ) -> Mapping[str, Payload]:
        """Refuses or records work outside of the saga, and returns the headers of the work.

        Raises:
            ApplicationError: The saga is open, and does not declare the work.
        """
        context = self._inbound.context
        check_foreign_work(name, kind, context)
        context.has_foreign_work = True
        return {**headers, FOREIGN_WORK: FOREIGN_MARK} if context.lifecycle.is_open else headers

    def continue_as_new(self, input: ContinueAsNewInput) -> NoReturn:  # noqa: A002 - Temporal's
        context = self._inbound.context
        is_of_saga = input.memo is not None and CONTINUED_STATE_MEMO in input.memo
        if (context.has_saga or context.continued is not None) and not is_of_saga:
            raise DefinitionError(
                "a workflow that continues as new by itself forgets what its saga has done: "
                "use `saga.continue_as_new`"
            )
        if not is_of_saga:
            input.memo = context.memo_for_next_run(input.memo)
        super().continue_as_new(input)
