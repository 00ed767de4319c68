"""The client with which operators list, inspect and control sagas."""

import asyncio
from datetime import timedelta

from temporalio.api.errordetails.v1 import WorkflowNotReadyFailure
from temporalio.client import (
    Client,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from .._core.ids import rescued_by
from .._errors import NoWorkerError, SagaNotFoundError, VerbRefusedError
from .._history.fetcher import HistoryFetcher
from .._history.preview import Preview, build_preview
from .._history.saga_record import SagaRecord
from .._history.timeline import Timeline
from .._history.timeline_builder import build_timeline
from .._wire.failures import SAGA_REFUSED
from .._wire.operator_requests import (
    APPROVE,
    COMPENSATE,
    COMPLETE,
    HOLD,
    RESUME,
    RETRY,
    SKIP,
    ApproveRequest,
    CompleteRequest,
    OperatorRequest,
    SkipRequest,
)
from ._rescue import Rescue, rescue_saga
from ._saga_list import UNFINISHED, SagaSummary, list_sagas

TIMEOUT = timedelta(seconds=10)
CHILD_TIMEOUT = timedelta(minutes=1)
NO_ROLES = frozenset[str]()


class SagaClient:
    """Lists and inspects sagas, and executes the verbs of operators.

    `list`, `show` and `preview` read from the server and need no worker. A verb is an update of the saga's
    workflow and needs a worker; the saga's history keeps every executed verb with operator and reason. Each
    verb returns the status that follows at once from the verb; what the saga does next is not awaited.

    Every verb takes `by` (the operator), `because` (the reason) and `roles` (the roles of the operator, not
    verified by the SDK), and raises:

    - `SagaNotFoundError`: the server has no such saga.
    - `VerbRefusedError`: the state of the saga does not allow the verb; nothing has changed.
    - `NoWorkerError`: no worker executed the verb in time; the verb may still be executed later.
    - `pydantic.ValidationError`: `by` or `because` is empty or too long.

    Args:
        client: A client with the data converter of the sagas and with `SagaPlugin`.
        timeout: The time in which a worker has to execute a verb.
    """

    def __init__(self, client: Client, *, timeout: timedelta = TIMEOUT) -> None:
        self._client = client
        self._fetcher = HistoryFetcher(client)
        self._timeout = timeout

    async def list(
        self, *, status: str | None = None, query: str | None = None, limit: int = 100
    ) -> tuple[SagaSummary, ...]:
        """Lists sagas; without a status the open sagas, in order of urgency.

        The order is failing code, stuck, held, compensating, running. The server reports failing code after
        several failed workflow tasks; until then the saga has the last published status. Running sagas
        publish no status: all open workflows without a parent and without a status count, even workflows
        without a saga; exclude the latter by a query.

        Args:
            status: Lists only sagas with a status. `terminated`, `timed-out` and `failed` select workflows
                that closed without a final saga status, and may need a rescue. `waiting` selects running and
                held sagas that wait for an approval, and reads the history of every running workflow: narrow
                the list down with a query.
            query: Lists only workflows that match a query in the language of Temporal's visibility:
                `WorkflowType = 'OrderSaga'`.
            limit: The maximum number of sagas.

        Raises:
            ValueError: The status does not exist, or the server does not understand the query.
            SagaError: A workflow is paused, or the client cannot decode the memo of a workflow.
        """
        return await list_sagas(self._client, status=status, query=query, limit=limit)

    async def show(self, saga_id: str) -> Timeline:
        """Returns the timeline of a saga with its children and rescues.

        Args:
            saga_id: The id of the saga, or of a rescue: `order-7~rescue`.

        Raises:
            SagaNotFoundError: The server has no such saga.
        """
        return build_timeline(await self._fetch(saga_id))

    async def preview(self, saga_id: str) -> Preview:
        """Returns the compensations that would run if the saga failed now, and the effects that would remain.

        Raises:
            SagaNotFoundError: The server has no such saga.
        """
        return build_preview(await self._fetch(saga_id))

    async def hold(self, saga_id: str, *, by: str, because: str, roles: frozenset[str] = NO_ROLES) -> str:
        """Holds a saga and its open children before their next steps."""
        return await self._execute(saga_id, HOLD, OperatorRequest(by=by, because=because, roles=roles))

    async def resume(self, saga_id: str, *, by: str, because: str, roles: frozenset[str] = NO_ROLES) -> str:
        """Resumes a held saga and its open children."""
        return await self._execute(saga_id, RESUME, OperatorRequest(by=by, because=because, roles=roles))

    async def retry(self, saga_id: str, *, by: str, because: str, roles: frozenset[str] = NO_ROLES) -> str:
        """Retries all failing steps and compensations of a stuck saga at once."""
        return await self._execute(saga_id, RETRY, OperatorRequest(by=by, because=because, roles=roles))

    async def skip(
        self, saga_id: str, step: str, *, by: str, because: str, roles: frozenset[str] = NO_ROLES
    ) -> str:
        """Skips the compensation of a stuck step, or marks a pivot in doubt as not happened."""
        request = SkipRequest(step=step, by=by, because=because, roles=roles)
        return await self._execute(saga_id, SKIP, request)

    async def complete(
        self,
        saga_id: str,
        step: str,
        result: object = None,
        *,
        by: str,
        because: str,
        roles: frozenset[str] = NO_ROLES,
    ) -> str:
        """Marks a stuck compensation, pivot or later step as done manually.

        Args:
            saga_id: The id of the saga.
            step: The address of the step.
            result: The result of the action, as JSON; None for a compensation.
            by: The operator.
            because: The reason.
            roles: The roles of the operator.
        """
        request = CompleteRequest(step=step, result=result, by=by, because=because, roles=roles)
        return await self._execute(saga_id, COMPLETE, request)

    async def compensate(
        self, saga_id: str, *, by: str, because: str, roles: frozenset[str] = NO_ROLES
    ) -> str:
        """Compensates a saga that has not passed its pivot.

        Returns:
            `compensating`; or `COMPENSATION_REQUESTED` while steps, children or the pivot are under way.
        """
        return await self._execute(saga_id, COMPENSATE, OperatorRequest(by=by, because=because, roles=roles))

    async def approve(
        self,
        saga_id: str,
        approval: str,
        *,
        is_approved: bool = True,
        by: str,
        because: str,
        roles: frozenset[str] = NO_ROLES,
    ) -> str:
        """Decides an approval for which a saga waits."""
        request = ApproveRequest(
            approval=approval, is_approved=is_approved, by=by, because=because, roles=roles
        )
        return await self._execute(saga_id, APPROVE, request)

    async def rescue(
        self,
        saga_id: str,
        *,
        by: str,
        because: str,
        roles: frozenset[str] = NO_ROLES,
        child_timeout: timedelta = CHILD_TIMEOUT,
        terminate: bool = False,
    ) -> Rescue:
        """Rescues a terminated or timed-out saga; a repeated rescue finds the first rescue.

        Before the pivot, a rescue workflow runs the pending compensations. Once the pivot is done or in
        doubt, the saga continues. Both need workers, and `rescue` does not wait for their end. After a reset,
        a rescue also compensates the steps of superseded runs, whatever the status of the saga.

        Args:
            saga_id: The id of the saga; a child alone only while the root is open.
            by: The operator.
            because: The reason.
            roles: The roles of the operator.
            child_timeout: The time in which open children have to compensate. Temporal cancels them with
                their parent.
            terminate: Whether to terminate an open saga whose code cannot be mended, and each child with
                failing code, before the rescue. A saga is refused once the pivot is done or in doubt.
        """
        request = OperatorRequest(by=by, because=because, roles=roles)
        await self._check_rescue_exists(saga_id)
        return await rescue_saga(
            self._client, saga_id, request, child_timeout=child_timeout, terminate=terminate
        )

    async def _fetch(self, saga_id: str) -> SagaRecord:
        """Fetches a saga by the id of the saga or of a rescue."""
        await self._check_rescue_exists(saga_id)
        try:
            return await self._fetcher.fetch_family(rescued_by(saga_id))
        except SagaNotFoundError:
            # A rescue can be stuck longer than the retention of its saga.
            rescues = await self._fetcher.fetch_rescues(rescued_by(saga_id))
            if not rescues:
                raise
            return rescues[-1]

    async def _check_rescue_exists(self, workflow_id: str) -> None:
        """Refuses the id of a missing rescue; otherwise the id would stand for the rescued saga."""
        if (saga_id := rescued_by(workflow_id)) == workflow_id:
            return
        try:
            await self._fetcher.current_run(workflow_id)
        except SagaNotFoundError as error:
            raise SagaNotFoundError(workflow_id, saga_id) from error

    async def _execute(self, saga_id: str, update: str, request: OperatorRequest) -> str:
        verb = update.removeprefix("saga-")
        handle = self._client.get_workflow_handle(saga_id)
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                # Temporal types updates by name loosely.
                status: str = await handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
                    update, request, result_type=str
                )
        except WorkflowUpdateFailedError as error:
            raise VerbRefusedError(saga_id, verb, _reason_of_refusal(error, update)) from error
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            # Temporal raises the same error when the calling task is cancelled, which must stay a
            # cancellation.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError from error
            raise NoWorkerError(saga_id, verb, self._timeout.total_seconds()) from error
        except RPCError as error:
            if error.status is RPCStatusCode.FAILED_PRECONDITION:
                raise VerbRefusedError(saga_id, verb, _reason_of_not_ready(error)) from error
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            # The server answers the same for a closed workflow and for an unknown one; `show` tells them
            # apart.
            reason = _reason_of_end(saga_id, await self.show(saga_id))
            raise VerbRefusedError(saga_id, verb, reason) from error
        return status


def _reason_of_refusal(error: WorkflowUpdateFailedError, update: str) -> str:
    """The reason in a refusal; without an open saga, the workflow has no handler for the update."""
    cause = error.cause
    if not isinstance(cause, ApplicationError):
        return str(cause)
    if cause.type != SAGA_REFUSED and update in cause.message:
        return "the workflow is not a saga, has not started its saga yet, or has finished it"
    return cause.message


def _reason_of_not_ready(error: RPCError) -> str:
    """The reason of failing workflow code, or Temporal's message for a paused workflow."""
    if any(detail.Is(WorkflowNotReadyFailure.DESCRIPTOR) for detail in error.grpc_status.details):
        return "the workflow code fails: see `sagas show`, fix the code, and repeat the request"
    return error.message


def _reason_of_end(saga_id: str, timeline: Timeline) -> str:
    """The status of a closed saga or rescue, with advice."""
    if rescued_by(saga_id) != saga_id:
        return f"the rescue has ended as {(timeline.rescue or timeline).status}"
    ended = f"the saga has ended as {timeline.status}"
    if timeline.rescue is not None:
        return f"{ended}, and its rescue {timeline.rescue.id!r} is {timeline.rescue.status}"
    return f"{ended}; rescue the saga" if timeline.status in UNFINISHED else ended
