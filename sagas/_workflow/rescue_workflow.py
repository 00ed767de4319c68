"""The workflow that rescues a terminated or timed-out saga by running the pending compensations.

The id of the workflow ends in `~rescue`, or `~rescue-2` and so on: the activities of the rescue have the
idempotency keys of the saga; see `sagas._core.ids`.
"""

from contextlib import suppress
from datetime import timedelta
from typing import cast

from temporalio import workflow
from temporalio.common import VersioningBehavior

from .._core.compensation import OnStuck, ParallelCompensations
from .._core.ledger import Ledger
from .._execution.retry_loop import RetryLoop
from .._messages.operator_updates import OperatorUpdates
from .._run.context import RunContext, current_context
from .._run.scope import Scope
from .._run.status_publisher import StatusPublisher
from .._wire.chunked_text import ChunkAssembler, TextChunk
from .._wire.rescue import CHUNK_SIGNAL, RESCUE_TYPE, PendingCompensations, RescueRequest, RescueResult

PROMPTLY = timedelta(seconds=30)
"""How long the chunks of a request may take before the rescue is stuck."""


@workflow.defn(name=RESCUE_TYPE)
class RescueSaga:
    """Runs the pending compensations of another saga until all are done, in the order of the saga."""

    def __init__(self) -> None:
        self._chunks = ChunkAssembler()

    @workflow.signal(name=CHUNK_SIGNAL)
    def take(self, chunk: TextChunk) -> None:
        """Takes a chunk of the request."""
        # Temporal decodes null without regard to the type.
        if isinstance(cast("object", chunk), TextChunk):
            self._chunks.add(chunk)

    @workflow.run
    async def run(self, request: RescueRequest) -> RescueResult:
        """Compensates the saga; without pending compensations, the history only records the request."""
        if not (request.compensations or request.unresolved_children or request.is_chunked):
            return RescueResult(compensated=())
        context = current_context()
        scope = context.scope = _open_scope(context)
        try:
            return await self._compensate(request, context, scope)
        except Exception:
            scope.lifecycle.abort()
            raise

    async def _compensate(self, request: RescueRequest, context: RunContext, scope: Scope) -> RescueResult:
        ledger, lifecycle = scope.ledger, scope.lifecycle
        retry_loop = RetryLoop(scope)
        OperatorUpdates(context, scope, retry_loop).open()
        pending = await self._pending(request, scope)
        ledger.on_stuck = pending.on_stuck
        _record(ledger, pending)
        addresses = tuple(compensation.address for compensation in ledger.pending())
        lifecycle.begin_compensation()
        scope.publish(f"rescued by {request.by}: {request.because}")
        await retry_loop.compensate_with_children()
        lifecycle.end_compensation()
        scope.publish()
        resolutions = dict(lifecycle.resolutions)
        compensated = tuple(each for each in addresses if each not in resolutions)
        return RescueResult(compensated=compensated, manual_resolutions=resolutions)

    async def _pending(self, request: RescueRequest, scope: Scope) -> PendingCompensations:
        """Waits until all chunks have arrived; chunks are missing if the sender was interrupted as well."""
        if not request.is_chunked:
            return request.pending
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._chunks.whole is not None, timeout=PROMPTLY)
        if self._chunks.whole is None:
            scope.lifecycle.mark_blocked()
            scope.publish("chunks of the pending compensations are missing: run `sagas rescue` again")
            await workflow.wait_condition(lambda: self._chunks.whole is not None)
        assert self._chunks.whole is not None
        return PendingCompensations.model_validate_json(self._chunks.whole)


@workflow.defn(name=RESCUE_TYPE, versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class UpgradingRescueSaga(RescueSaga):
    """The rescue for workers with Worker Deployment Versioning; the server refuses a behavior from others.

    The rescue moves to each new current version, even for a saga that was pinned. A rescue contains no code
    of the saga's author, so every newer worker can continue the rescue; a pinned rescue that is stuck would
    need workers of an old version. The activities of the compensations must exist in the current version.
    """

    @workflow.run
    async def run(self, request: RescueRequest) -> RescueResult:
        """Compensates the saga."""
        return await super().run(request)


def _open_scope(context: RunContext) -> Scope:
    lifecycle = context.lifecycle
    lifecycle.is_uncancellable = True
    lifecycle.open()
    publisher = StatusPublisher(search_attributes=context.search_attributes)
    return Scope(lifecycle=lifecycle, ledger=Ledger(), publisher=publisher, shield=context.shield)


def _record(ledger: Ledger, pending: PendingCompensations) -> None:
    """Records exactly the pending compensations: an entry for each plan item, the oldest first.

    The place of an unresolved child is unknown. In a saga whose older compensations wait, the child counts as
    the newest: no compensation overtakes the child.
    """
    waits = pending.on_stuck is OnStuck.WAIT
    for child in () if waits else pending.unresolved_children:
        ledger.start(child, is_child=True)
    for number, item in reversed(tuple(enumerate(pending.compensations, start=1))):
        address = f"parallel-{number}" if isinstance(item, ParallelCompensations) else item.address
        ledger.start(address, is_child=True)
        ledger.complete_child(address, (item,))
    for child in pending.unresolved_children if waits else ():
        ledger.start(child, is_child=True)
