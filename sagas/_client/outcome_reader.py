"""Waits for the end of a saga and reads the outcome from the server."""

from typing import Generic, TypeVar, cast

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.client import Client, WorkflowHistoryEventFilterType
from temporalio.converter import WorkflowSerializationContext, decode_typed_search_attributes
from temporalio.service import RPCError

from .._core.ids import rescued_by
from .._core.saga_outcome import Completed, SagaOutcome, Settled
from .._core.status import Status
from .._errors import SagaError, SagaNotFoundError, WireFormatError
from .._history.fetcher import HistoryFetcher, is_open, is_workflow_missing
from .._wire.child_saga import CHILD_MEMO, ChildResult, child_result_type
from .._wire.search_attribute import SAGA_STATUS
from .outcome_of_record import has_compensated, manual_resolutions, outcome_of_record, resolved_steps

T = TypeVar("T")


class OutcomeReader(Generic[T]):
    """Reads the outcome of a saga.

    For a completed saga without manual resolutions, the history is not read.

    Args:
        client: Connected to the namespace of the saga.
        saga_id: The id of the saga. The id of a rescue stands for the rescued saga.
        first_run_id: The first run of the saga, if known: another saga with the same id is refused.
        result_type: The type of the result; None for plain JSON data.
    """

    def __init__(
        self, client: Client, saga_id: str, *, first_run_id: str | None, result_type: type | None
    ) -> None:
        self._client, self._fetcher = client, HistoryFetcher(client)
        self._id = rescued_by(saga_id)
        self._first_run_id = first_run_id if self._id == saga_id else None
        self._result_type = result_type

    async def outcome(self) -> SagaOutcome[T]:
        """Waits until the saga and the rescues of the saga have ended, and returns the outcome.

        Raises:
            SagaNotFoundError: As in `SagaHandle.outcome`.
            StartError: As in `SagaHandle.outcome`.
            SagaError: As in `SagaHandle.outcome`.
        """
        try:
            return await self._outcome()
        except RPCError as error:
            if is_workflow_missing(error):
                raise SagaNotFoundError(self._id) from error
            raise

    async def _outcome(self) -> SagaOutcome[T]:
        while True:
            closed = await self._closed(self._id)
            self._refuse_other_saga(closed)
            is_completed = closed.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED
            status = await self._status(closed)
            if is_completed and status not in (Status.COMPENSATED, Status.SETTLED):
                return Completed(await self._result(closed))
            record = await self._fetcher.fetch_family(self._id)
            if record.run_id != closed.execution.run_id:
                continue  # A reset has resumed the saga in a new run.
            if is_completed and not has_compensated(record):
                return Settled(
                    await self._result(closed),
                    is_compensated=False,
                    manual_resolutions=manual_resolutions(record),
                    resolved_steps=resolved_steps(record),
                )
            open_rescues = [rescue.id for rescue in record.own_rescues if rescue.closure is None]
            if not open_rescues:
                return outcome_of_record(record)
            await self._closed(open_rescues[0])

    async def _closed(self, workflow_id: str) -> WorkflowExecutionInfo:
        """Waits until the current run of a workflow has closed, and returns the server's description."""
        while is_open(info := await self._fetcher.describe(workflow_id)):
            handle = self._client.get_workflow_handle(workflow_id, run_id=info.execution.run_id)
            async for _ in handle.fetch_history_events(
                wait_new_event=True,
                event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT,
                skip_archival=True,
            ):
                pass
        return info

    def _refuse_other_saga(self, closed: WorkflowExecutionInfo) -> None:
        if self._first_run_id and closed.first_run_id not in ("", self._first_run_id):
            raise SagaError(
                f"the outcome of saga {self._id!r} cannot be determined: another workflow was started with "
                "this id since; start sagas with `start_saga`, which uses an id once"
            )

    async def _status(self, closed: WorkflowExecutionInfo) -> str:
        """The status published by the saga, in the search attribute or else in the memo; or empty."""
        attributes = decode_typed_search_attributes(closed.search_attributes)
        if (status := attributes.get(SAGA_STATUS)) is not None:
            return status
        if SAGA_STATUS.name not in closed.memo.fields:
            return ""
        context = WorkflowSerializationContext(namespace=self._client.namespace, workflow_id=self._id)
        converter = self._client.data_converter.with_context(context)
        return str((await converter.decode([closed.memo.fields[SAGA_STATUS.name]]))[0])

    async def _result(self, closed: WorkflowExecutionInfo) -> T:
        """The result of the run method; a child's result is taken from the result for the parent."""
        is_child = CHILD_MEMO in closed.memo.fields
        handle = self._client.get_workflow_handle(
            self._id,
            run_id=closed.execution.run_id,
            result_type=child_result_type(self._result_type or object) if is_child else self._result_type,
        )
        try:
            output: object = await handle.result(follow_runs=False)
        except (RPCError, WireFormatError):
            raise
        except Exception as error:
            kind = getattr(self._result_type, "__name__", "JSON")
            raise SagaError(
                f"the result of saga {self._id!r} cannot be read as {kind} ({type(error).__name__}): pass "
                "the run method of the saga's workflow class, and use the data converter of its workers"
            ) from error
        return cast("T", cast("ChildResult[object]", output).result if is_child else output)
