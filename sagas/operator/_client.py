"""Sagas as operators see them: which there are, what they have done, and the verbs to step in."""

import asyncio

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
from ._saga_list import CUT_OFF, SagaSummary, search

PATIENCE = 10.0
"""Seconds in which a worker has to carry out a verb."""
CHILDREN = 60.0
"""Seconds in which the children of a saga that was cut off have to make up for their own steps."""
NO_ROLES = frozenset[str]()


class SagaClient:
    """What an operator can see of sagas, and do to them.

    What is seen is read from histories alone, so it needs no worker. A verb is carried out by the saga
    itself, so it needs one; it stays in the saga's history with who asked for it and why. Each verb returns
    the saga's status after it.

    Every verb takes `by` (who asks), `because` (the reason) and `roles` (what the person may do, as far as
    the caller knows), and raises:

    - `SagaNotFoundError`: there is no such saga.
    - `VerbRefusedError`: it is not for this saga now; the sentence says why, and nothing has changed.
    - `NoWorkerError`: no worker has answered in time.
    - `pydantic.ValidationError`: `by` or `because` is empty or too long.

    Args:
        client: Connected with the data converter that the sagas use; `SagaPlugin` brings it.
        patience: Seconds in which a worker has to answer.
    """

    def __init__(self, client: Client, *, patience: float = PATIENCE) -> None:
        self._client = client
        self._archive = HistoryFetcher(client)
        self._patience = patience

    async def list(
        self, *, status: str | None = None, query: str | None = None, limit: int = 100
    ) -> tuple[SagaSummary, ...]:
        """Finds sagas; without a status those that are open, first those that need a person.

        These are the stuck ones, then held, compensating, and those on the happy path. A saga on the happy
        path says nothing of itself, so the last are all open workflows that are nobody's child, sagas or
        not: narrow them down with `query`.

        Args:
            status: Only sagas of this status; `terminated`, `timed-out` and `failed` are those that were
                cut off, and may have to be rescued.
            query: Only workflows that fit it as well, in the language of Temporal's visibility:
                `WorkflowType = 'OrderSaga'`.
            limit: At most so many.

        Raises:
            ValueError: There is no such status, or the server does not understand the query.
            SagaError: A workflow cannot be read: its memo is sealed, or it is paused.
        """
        return await search(self._client, status=status, query=query, limit=limit)

    async def show(self, saga_id: str) -> Timeline:
        """Tells a saga's story, with those of its children, and of its rescues where it had any.

        The id of a rescue, `order-7~rescue`, is as good as that of its saga.

        Raises:
            SagaNotFoundError: There is no such saga.
        """
        return build_timeline(await self._read(saga_id))

    async def preview(self, saga_id: str) -> Preview:
        """Says what would be made up for if the saga failed now, and what would stay.

        Raises:
            SagaNotFoundError: There is no such saga.
        """
        return build_preview(await self._read(saga_id))

    async def hold(self, saga_id: str, *, by: str, because: str, roles: frozenset[str] = NO_ROLES) -> str:
        """Has a saga wait before its next step, and its open children with it."""
        return await self._ask(saga_id, HOLD, OperatorRequest(by=by, because=because, roles=roles))

    async def resume(self, saga_id: str, *, by: str, because: str, roles: frozenset[str] = NO_ROLES) -> str:
        """Ends a hold, of the saga and of its open children."""
        return await self._ask(saga_id, RESUME, OperatorRequest(by=by, because=because, roles=roles))

    async def retry(self, saga_id: str, *, by: str, because: str, roles: frozenset[str] = NO_ROLES) -> str:
        """Has a stuck saga try again at once."""
        return await self._ask(saga_id, RETRY, OperatorRequest(by=by, because=because, roles=roles))

    async def skip(
        self, saga_id: str, step: str, *, by: str, because: str, roles: frozenset[str] = NO_ROLES
    ) -> str:
        """Leaves out the compensation of a step, or says of the pivot that it did not happen."""
        return await self._ask(saga_id, SKIP, SkipRequest(step=step, by=by, because=because, roles=roles))

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
        """Says of a step that it was done by hand, and what its action would have returned."""
        request = CompleteRequest(step=step, result=result, by=by, because=because, roles=roles)
        return await self._ask(saga_id, COMPLETE, request)

    async def compensate(
        self, saga_id: str, *, by: str, because: str, roles: frozenset[str] = NO_ROLES
    ) -> str:
        """Turns a saga round: what it has done is made up for."""
        return await self._ask(saga_id, COMPENSATE, OperatorRequest(by=by, because=because, roles=roles))

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
        """Gives the decision that a saga waits for."""
        request = ApproveRequest(
            approval=approval, is_approved=is_approved, by=by, because=because, roles=roles
        )
        return await self._ask(saga_id, APPROVE, request)

    async def rescue(
        self,
        saga_id: str,
        *,
        by: str,
        because: str,
        roles: frozenset[str] = NO_ROLES,
        patience: float = CHILDREN,
    ) -> Rescue:
        """Makes up for what a saga owes that was terminated or has timed out; nothing happens twice.

        Once the pivot may have happened there is only one way, and the saga itself goes on from where it
        was. Both are begun here, and carried out by the saga's workers. Of a saga that was reset, what it did
        before and not since is made up for as well, also where it has ended by itself.

        Args:
            saga_id: The saga; a child alone only while its parent waits for that.
            by: Who asks for it.
            because: The reason.
            roles: What the person may do.
            patience: Seconds in which its children, which hear of its end as a cancel, have to make up for
                their own steps.
        """
        note = OperatorRequest(by=by, because=because, roles=roles)
        await self._check_rescue(saga_id)
        return await rescue_saga(self._client, saga_id, note, patience=patience)

    async def _read(self, saga_id: str) -> SagaRecord:
        """A saga, with the workflows that made up for it; found by the id of any of them."""
        await self._check_rescue(saga_id)
        try:
            return await self._archive.family(rescued_by(saga_id))
        except SagaNotFoundError:
            # A rescue may be stuck for longer than the server keeps its saga.
            rescues = await self._archive.rescues_of(rescued_by(saga_id))
            if not rescues:
                raise
            return rescues[-1]

    async def _check_rescue(self, workflow_id: str) -> None:
        """Where it is the id of a rescue, there must be one: its saga must not be taken for it."""
        if (saga_id := rescued_by(workflow_id)) == workflow_id:
            return
        try:
            await self._archive.execution(workflow_id)
        except SagaNotFoundError as error:
            raise SagaNotFoundError(workflow_id, saga_id) from error

    async def _ask(self, saga_id: str, verb: str, request: OperatorRequest) -> str:
        words = verb.removeprefix("saga-")
        handle = self._client.get_workflow_handle(saga_id)
        try:
            async with asyncio.timeout(self._patience):
                # Temporal types updates by name loosely.
                status: str = await handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
                    verb, request, result_type=str
                )
        except WorkflowUpdateFailedError as error:
            raise VerbRefusedError(saga_id, words, _refusal(error, verb)) from error
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
            # Temporal says the same where the caller was cancelled, which must not be swallowed.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError from error
            raise NoWorkerError(saga_id, words, self._patience) from error
        except RPCError as error:
            if error.status is RPCStatusCode.FAILED_PRECONDITION:
                raise VerbRefusedError(saga_id, words, _not_ready(error)) from error
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            # The server says the same of a saga that has ended, and of one that never was.
            raise VerbRefusedError(saga_id, words, _end_of(saga_id, await self.show(saga_id))) from error
        return status


def _refusal(error: WorkflowUpdateFailedError, verb: str) -> str:
    """Why a verb was not taken, in a sentence; where no saga is open, Temporal says that nobody knows it."""
    cause = error.cause
    if not isinstance(cause, ApplicationError):
        return str(cause)
    if cause.type != SAGA_REFUSED and verb in cause.message:
        return "it has no saga open: it is none, or has not come to its block yet, or is over"
    return cause.message


def _not_ready(error: RPCError) -> str:
    """Why no code of it runs; of one that was paused, Temporal has a sentence."""
    if any(each.Is(WorkflowNotReadyFailure.DESCRIPTOR) for each in error.grpc_status.details):
        return "its code fails, so it takes no verb: 'sagas show' says why; mend it, and ask again"
    return error.message


def _end_of(saga_id: str, story: Timeline) -> str:
    """That a saga, or the rescue of one, has ended, in a sentence that says what can still be asked."""
    if rescued_by(saga_id) != saga_id:
        return f"it has ended, and is {(story.rescue or story).status}"
    advice = ": rescue it" if story.status in CUT_OFF else ""
    if story.rescue is not None:
        advice = f", and its rescue {story.rescue.id!r} is {story.rescue.status}"
    return f"it has ended, and is {story.status}{advice}"
