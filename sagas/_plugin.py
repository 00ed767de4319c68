"""What a Temporal client needs so that sagas can be opened in its workflows."""

import asyncio
import dataclasses
from collections.abc import Awaitable
from inspect import signature
from typing import Any

from opentelemetry import trace
from pydantic import ValidationError
from temporalio import workflow
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError
from temporalio.plugin import SimplePlugin
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    HandleQueryInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from ._carried import Carried
from ._errors import DefinitionError, RejectedError
from ._ledger import Phase
from ._mark import HEADER, groups_of
from ._run import CARRIED_MEMO, CHILD_MEMO, Closed, Run, enter
from ._saga import Saga
from ._verbs import Authorize
from ._verdict import SAGA_REFUSED, SAGA_UNACCOUNTED, to_application_error

PASSED_THROUGH = ("sagas", "pydantic", "pydantic_core", "annotated_types", "httpx")


class SagaPlugin(SimplePlugin):
    """Makes `Saga` usable in every workflow of a client; existing workflows are replayed as ever.

    Give it to the client, not to its workers: they get it from there. A `Replayer` needs its own::

        client = await Client.connect("localhost:7233", plugins=[SagaPlugin()])

    It converts pydantic models, lets the sandbox pass `sagas` through, turns `RejectedError` of an activity
    into Temporal's non-retryable kind, fails a workflow whose input does not fit its type, and keeps a
    cancel away from compensations.

    Args:
        search_attributes: Whether sagas set the search attribute `SagaStatus` when they leave the happy path.
            It must be registered, or a saga that wants to compensate is wedged. Choose once per
            namespace: what a running saga has written must be written again in replay.
        authorize: Asked before an operator's verb is carried out: given the verb and the request, it says in
            a sentence why it may not be, or `None`. It runs in the workflow, so it must neither wait nor
            look outside. Without it, an approval takes the role that the request claims.
    """

    def __init__(self, *, search_attributes: bool = True, authorize: Authorize | None = None) -> None:
        self.search_attributes = search_attributes
        # Temporal types the activities of a plugin loosely.
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            "sagas",
            data_converter=_converter,
            interceptors=[_SagaInterceptor(search_attributes=search_attributes, authorize=authorize)],
            workflow_runner=_runner,
            workflow_failure_exception_types=[ValidationError],
        )


def _converter(existing: DataConverter | None) -> DataConverter:
    if existing is None or existing.payload_converter_class is DataConverter.default.payload_converter_class:
        base = existing or DataConverter.default
        return dataclasses.replace(
            base, payload_converter_class=pydantic_data_converter.payload_converter_class
        )
    return existing


def _runner(existing: WorkflowRunner | None) -> WorkflowRunner:
    runner = existing or SandboxedWorkflowRunner()
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    restrictions = runner.restrictions.with_passthrough_modules(*PASSED_THROUGH)
    return dataclasses.replace(runner, restrictions=restrictions)


class _SagaInterceptor(Interceptor):
    def __init__(self, *, search_attributes: bool, authorize: Authorize | None) -> None:
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
            raise to_application_error(refused) from refused
        except BaseException:
            span.set_attribute("saga.outcome", "unknown")
            raise
        span.set_attribute("saga.outcome", "done")
        return result


class _WorkflowInbound(WorkflowInboundInterceptor):
    search_attributes = True
    authorize: Authorize | None = None
    run: Run | None = None

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_WorkflowOutbound(outbound, self))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002 - Temporal's
        info = workflow.info()
        is_child = CHILD_MEMO in info.raw_memo
        carried = info.raw_memo.get(CARRIED_MEMO)
        run = self.run = Run(
            is_child=is_child,
            search_attributes=self.search_attributes,
            is_pivot=is_child and bool(workflow.memo()[CHILD_MEMO].get("is_pivot")),
            carried=workflow.payload_converter().from_payload(carried, Carried) if carried else None,
            authorize=self.authorize,
        )
        run.guard.is_deaf = run.carried is not None and run.carried.ledger.phase is Phase.PAST_PIVOT
        enter(run)
        _check_arguments(input)
        result = await run.guard.protect(self._run_body(run, super().execute_workflow(input)))
        return Closed(result=result, owed=run.owed, by_hand=run.by_hand) if is_child else result

    async def _run_body(self, run: Run, body: Awaitable[Any]) -> Any:
        try:
            return await body
        except (Exception, asyncio.CancelledError) as error:
            if run.carried is not None and not run.has_saga:
                # What an earlier run has done is still to be made up for.
                async with Saga():
                    raise
            if run.is_child and run.owed:
                # Its parent would take the failure for a child that has compensated.
                raise DefinitionError(
                    f"{type(error).__name__} was raised in a child after its saga was completed: {error}"
                ) from error
            if run.is_child and run.has_activities and not run.has_saga:
                raise ApplicationError(
                    f"{type(error).__name__} was raised after activities that belong to no saga",
                    type=SAGA_UNACCOUNTED,
                    non_retryable=True,
                ) from error
            raise

    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002 - Temporal's
        answer = await super().handle_query(input)
        # Made when somebody looks, as every step of every saga would pay for it otherwise.
        if isinstance(answer, WorkflowMetadata) and self.run and (details := self.run.details()):
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
        # A handler of a plain workflow may be called before the workflow itself.
        if run is None:
            return super().start_activity(input)
        if run.mark is not None:
            input.headers = {**input.headers, HEADER: run.mark}
            input.event_groups = groups_of(input.activity_id)
            run.mark = None
            return super().start_activity(input)
        run.has_activities = True
        if run.has_saga and input.cancellation_type is workflow.ActivityCancellationType.ABANDON:
            # Temporal 1.35: one that fails after its cancel wedges the workflow, and its compensations.
            raise DefinitionError(
                f"activity {input.activity!r} has cancellation type ABANDON, which can wedge a saga: "
                "give it TRY_CANCEL or WAIT_CANCELLATION_COMPLETED"
            )
        return super().start_activity(input)


def _check_arguments(started: ExecuteWorkflowInput) -> None:
    """Fails a workflow that was started with other arguments than it takes; it would be wedged otherwise."""
    try:
        signature(started.run_fn).bind(None, *started.args)
    except TypeError as error:
        raise ApplicationError(
            f"{started.type.__name__} was started with other arguments than it takes: {error}",
            type=SAGA_REFUSED,
            non_retryable=True,
        ) from error
