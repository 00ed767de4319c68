"""Whether a saga may go on: it turns round when it is cancelled, out of time, or told to."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

from .._core.ledger import Ledger
from .._core.lifecycle import Phase
from .._core.status import Status
from .._errors import DefinitionError
from .cancellation_shield import CancellationShield, current_guard
from .status_publisher import StatusPublisher

YEAR = timedelta(days=365)
"""Every wait of a saga has a timer. Temporal may run a first workflow task that gave no command together with
the next one, and then knows none of the updates that the workflow has opened."""


class ForwardCheck:
    """Asked before and after everything that a saga does on its way forward.

    Args:
        guard: That of the workflow's main task.
        ledger: Of the saga; once it is past the pivot, there is no other way than forward.
        board: Says whether it is held.
    """

    def __init__(self, guard: CancellationShield, ledger: Ledger, board: StatusPublisher) -> None:
        self._guard, self._ledger, self._board = guard, ledger, board
        self.is_open = False
        self.turned: Exception | None = None
        """Why it turns round, where it was not cancelled."""

    @property
    def is_turning(self) -> bool:
        """Whether it is on its way forward, and has been told to turn round."""
        is_told = workflow.cancellation_reason() is not None or self.turned is not None
        return is_told and self._ledger.phase is Phase.FORWARD

    def check(self) -> None:
        """Turns round when the saga was told to, however quietly: it is never told twice.

        Raises:
            asyncio.CancelledError: It does.
            DefinitionError: It has not begun, or has ended: nobody would make up for what is done now.
        """
        if not self.is_open:
            raise DefinitionError("what a saga does stands in its block: `async with Saga() as saga:`")
        if self._ledger.phase is Phase.COMPENSATING:
            # A handler, or a task of the workflow's own, cannot know that it has.
            raise asyncio.CancelledError("the saga has turned round")
        if self.is_turning:
            raise asyncio.CancelledError(workflow.cancellation_reason() or str(self.turned or "cancelled"))
        # The main task is only interrupted in order to turn round; a branch may be, for a sibling's sake.
        if (guard := current_guard()) is not self._guard and guard.was_interrupted:
            raise asyncio.CancelledError("its branch was cancelled")

    async def clear(self) -> None:
        """Waits as long as the saga is held; then as `check`."""
        while self._is_held:
            # The timer is for the sake of verbs, see `YEAR`.
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: not self._is_held, timeout=YEAR, timeout_summary=Status.HELD.value
                )
        self.check()

    @property
    def _is_held(self) -> bool:
        is_going_forward = not self.is_turning and self._ledger.phase is not Phase.COMPENSATING
        return self._board.is_held and is_going_forward

    def turn(self, why: Exception) -> None:
        """Turns the saga round, if it is on its way forward."""
        if self._ledger.phase is Phase.FORWARD and self.turned is None:
            self.turned = why
            self._guard.interrupt()

    def hold(self) -> None:
        """Lets nothing begin until `resume`; what is under way goes on. One that is stuck says so first."""
        self._board.is_held = True
        if self._board.status is not Status.STUCK:
            self._board.show(Status.HELD)

    def resume(self) -> None:
        """Lets the saga go on; one that is stuck meanwhile stays so."""
        self._board.is_held = False
        if self._board.status is Status.HELD:
            self._board.show(Status.RUNNING)
