"""The workflow that makes up for a saga which was cut off before it could do so itself.

Its id ends in `~rescue`, or `~rescue-2` and so on, so its activities have the idempotency keys of the saga;
see `_keys`.
"""

from contextlib import suppress
from datetime import timedelta
from typing import cast

from temporalio import workflow

from .._core.compensation import ParallelCompensations
from .._core.ledger import Ledger
from .._core.status import Status
from .._execution.retry_loop import RetryLoop
from .._messages.external_events import ExternalEvents
from .._messages.operator_updates import OperatorUpdates
from .._run.context import current
from .._run.forward_check import ForwardCheck
from .._run.status_publisher import StatusPublisher
from .._wire.chunked_text import ChunkAssembler, TextChunk
from .._wire.rescue import PART, RESCUE_TYPE, PendingCompensations, RescueRequest, RescueResult

PROMPTLY = timedelta(seconds=30)
"""How long all the parts may take before somebody has to look."""


@workflow.defn(name=RESCUE_TYPE)
class RescueSaga:
    """Runs what another saga owes, as that saga would have: newest first, until everything is done."""

    def __init__(self) -> None:
        self._parts = ChunkAssembler()

    @workflow.signal(name=PART)
    def take(self, part: TextChunk) -> None:
        """Takes a part of what is owed."""
        # Null is read without regard to the type.
        if isinstance(cast("object", part), TextChunk):
            self._parts.add(part)

    @workflow.run
    async def run(self, request: RescueRequest) -> RescueResult:
        """Makes up for everything; where nothing is owed, its history says who asked."""
        if not (request.owed or request.unaccounted or request.is_in_parts):
            return RescueResult(compensated=())
        run = current()
        run.has_saga = True
        run.guard.is_shielded = True  # it only makes up for things, and nothing stops that
        ledger = Ledger()
        board = StatusPublisher(ledger, search_attributes=run.search_attributes)
        run.details = board.details
        insistence = RetryLoop(board)
        desk = OperatorUpdates(
            ledger=ledger,
            board=board,
            course=ForwardCheck(run.guard, ledger, board),
            insistence=insistence,
            mailbox=ExternalEvents(),
            run=run,
        )
        desk.open()
        _enter(ledger, await self._debt(request, board))
        owed = tuple(compensation.address for compensation in ledger.owed())
        ledger.begin_compensation()
        board.show(Status.COMPENSATING, f"rescued by {request.by}: {request.because}")
        await insistence.make_up(ledger)
        for lost in ledger.lost():
            await insistence.settle_lost(ledger, lost)
        board.show(Status.SETTLED if insistence.by_hand else Status.COMPENSATED)
        by_hand = dict(insistence.by_hand)
        return RescueResult(compensated=tuple(each for each in owed if each not in by_hand), by_hand=by_hand)

    async def _debt(self, request: RescueRequest, board: StatusPublisher) -> PendingCompensations:
        """Waits until all of it is here; where that lasts, who has sent it was cut off, too."""
        if not request.is_in_parts:
            return request.pending
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._parts.whole is not None, timeout=PROMPTLY)
        if self._parts.whole is None:
            board.show(Status.STUCK, "not all of what is owed has arrived here: ask for the rescue again")
            await workflow.wait_condition(lambda: self._parts.whole is not None)
        assert self._parts.whole is not None
        return PendingCompensations.model_validate_json(self._parts.whole)


def _enter(ledger: Ledger, debt: PendingCompensations) -> None:
    """Has a ledger owe exactly this: a line for each part, the oldest first."""
    for child in debt.unaccounted:
        ledger.start(child, is_child=True)
    for number, part in reversed(tuple(enumerate(debt.owed, start=1))):
        address = f"part {number}" if isinstance(part, ParallelCompensations) else part.address
        ledger.start(address, is_child=True)
        ledger.closed(address, (part,))
