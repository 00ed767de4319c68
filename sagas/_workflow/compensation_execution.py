"""The way back: everything that was started is made up for, and the workflow then says why."""

import asyncio
from datetime import timedelta
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from .._core.compensation import PendingCompensation
from .._core.ledger import Ledger
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.status import Status
from .._declarations.activity_spec import ActivitySpec
from .._declarations.step import Action, Step
from .._errors import RejectedError
from .._execution.activity_call import attempt, snapshot
from .._execution.retry_loop import RetryLoop, words
from .._run.forward_check import ForwardCheck
from .._run.open_children import OpenChildren
from .._run.status_publisher import StatusPublisher
from .._wire.activity_header import plain_header
from .._wire.failures import compensated, trimmed_cause

ERRAND_TAKEN_WITHIN = timedelta(hours=1)
"""What no worker has taken by then is left undone: everything is made up for, and the saga can end."""


class CompensationExecution:
    """Taken once, by a saga that turns round; whoever takes it runs it to its end, whatever is cancelled.

    Args:
        ledger: Says what is owed.
        board: Says how far it has come.
        insistence: Tries until it is through.
        course: Knows why it turned round.
        family: Its children; one that a handler has begun may be open.
        busy: The addresses of what is under way, while it is.
        errands: What is left from before the saga continued as new.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        board: StatusPublisher,
        insistence: RetryLoop,
        course: ForwardCheck,
        family: OpenChildren,
        busy: set[str],
        errands: tuple[PendingCompensation, ...],
    ) -> None:
        self._ledger, self._board = ledger, board
        self._insistence, self._course = insistence, course
        self._family, self._busy = family, busy
        self.errands = list(errands)
        """What is done at its end."""
        self._carried = list(errands)

    def add_errand(self, step: Step[Any, Any] | Action[Any, Any], message: object) -> None:
        """Has a step done at the end of the way."""
        call = step.call
        errand = PendingCompensation(
            address=step.name,
            activity=call.activity,
            arguments=(snapshot(message),),
            task_queue=call.task_queue,
            policy=call.policy,
        )
        # A run that goes on from another one comes by the same lines of code.
        if (known := next((each for each in self._carried if _is_same(each, errand)), None)) is not None:
            self._carried.remove(known)
        else:
            self.errands.append(errand)

    async def take(self) -> None:
        """Makes up for everything that was started; returns when nothing is owed and its errands are over."""
        self._ledger.begin_compensation()
        self._board.is_held = False
        # A handler may wait for one: Temporal cancels the main task, and no other.
        self._family.cancel_all()
        if self._busy or self._ledger.owed() or self._ledger.lost():
            self._board.show(Status.COMPENSATING)
            # A step in a task of its own may be under way: a compensation must not overtake its action.
            await workflow.wait_condition(lambda: not self._busy)
            await self._insistence.make_up(self._ledger)
            for lost in self._ledger.lost():
                await self._insistence.settle_lost(self._ledger, lost)
        if self.errands:
            # It may have been stuck before.
            self._board.show(Status.COMPENSATING)
        for errand in self.errands:
            await self._run_errand(errand)
        self._board.show(Status.SETTLED if self._insistence.by_hand else Status.COMPENSATED)

    def leave(self, error: Exception | asyncio.CancelledError, *, was_cancelled: bool) -> NoReturn:
        """Ends the saga with what made it turn round; a cancel that came on the way back did not."""
        by_hand = self._insistence.by_hand
        if was_cancelled and is_cancelled_exception(error):
            if by_hand:
                # Closed as cancelled, it could not tell who waits for it what a person has settled.
                cancelled = RejectedError("cancelled", f"{workflow.info().workflow_id} was cancelled")
                raise compensated(cancelled, by_hand) from trimmed_cause(error)
            raise error
        if isinstance(error, asyncio.CancelledError) and self._course.turned is not None:
            raise compensated(self._course.turned, by_hand) from self._course.turned
        raise compensated(error, by_hand) from trimmed_cause(error)

    async def _run_errand(self, errand: PendingCompensation) -> None:
        address = self._ledger.address_of(errand.address)
        verdict = await attempt(
            ActivitySpec(
                activity=errand.activity, result=None, policy=errand.policy, task_queue=errand.task_queue
            ),
            errand.arguments,
            activity_id=address,
            summary=words(errand.address),
            mark=plain_header(Purpose.AFTERWARDS),
            taken_within=ERRAND_TAKEN_WITHIN,
        )
        if verdict.outcome is not Outcome.DONE:
            workflow.logger.warning("after compensation: %s: %s", address, verdict.reason)


def _is_same(one: PendingCompensation, other: PendingCompensation) -> bool:
    """Whether two ask for the same; what was carried from another run is plain data."""
    if (one.address, one.activity, one.task_queue) != (other.address, other.activity, other.task_queue):
        return False
    to_payloads = workflow.payload_converter().to_payloads
    try:
        return to_payloads(one.arguments) == to_payloads(other.arguments)
    except Exception:  # noqa: BLE001 - what cannot be sent was not carried either
        return False
