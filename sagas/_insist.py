"""Activities that must succeed: compensations, and what comes after the pivot.

They are tried in rounds. A round that fails makes the saga stuck, which it says, and is followed by another
after a pause that grows to five minutes; a final refusal waits for `retry`, as another try would be answered
the same.
"""

from collections.abc import Sequence
from datetime import timedelta
from itertools import count

from temporalio import workflow
from temporalio.api.common.v1 import Payload

from ._attempt import attempt
from ._keys import COMPENSATE
from ._ledger import Compensation, Ledger, Outcome
from ._mark import Purpose, plain_mark
from ._status import Board, Status
from ._steps import Call
from ._verdict import Verdict

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)


class Insistence:
    """Tries until it succeeds, and says so while it does not."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._retries = 0

    def retry(self) -> None:
        """Ends every pause and tries again what was refused; an operator's word that something changed."""
        self._retries += 1

    async def make_up(self, ledger: Ledger) -> None:
        """Runs what is owed, newest first, until nothing is; one that fails does not hold up the others."""
        for round_number in count():
            failures = [v for c in ledger.owed() if (v := await self._compensate(ledger, c)) is not None]
            if not failures:
                return
            self._board.show(Status.STUCK, failures[0].reason)
            await self._pause(round_number, failures)
            self._board.show(Status.COMPENSATING)

    async def until_done(
        self, call: Call, arguments: Sequence[object], *, activity_id: str, summary: str, mark: Payload
    ) -> Verdict:
        """Runs what follows the pivot; there is no other way than forward."""
        before = self._board.status
        round_number = 0
        while True:
            verdict = await attempt(call, arguments, activity_id=activity_id, summary=summary, mark=mark)
            if verdict.outcome is Outcome.DONE:
                self._board.show(before)
                return verdict
            self._board.show(Status.STUCK, f"{activity_id}: {verdict.reason}")
            await self._pause(round_number, [verdict])
            round_number += 1

    async def _compensate(self, ledger: Ledger, owed: Compensation) -> Verdict | None:
        call = Call(activity=owed.activity, result=None, policy=owed.policy, task_queue=owed.task_queue)
        verdict = await attempt(
            call,
            owed.arguments,
            activity_id=f"{COMPENSATE}{owed.address}",
            summary=f"compensate: {words(owed.activity)}",
            mark=plain_mark(Purpose.COMPENSATION),
        )
        if verdict.outcome is not Outcome.DONE:
            return verdict
        ledger.made_up_for(owed.address)
        return None

    async def rest(self, pause: timedelta | None) -> None:
        """Waits until an operator says `retry`, or as long as the pause is, where there is one."""
        seen = self._retries
        try:
            await workflow.wait_condition(
                lambda: self._retries > seen, timeout=pause, timeout_summary="until the next attempt"
            )
        except TimeoutError:
            return

    async def _pause(self, round_number: int, failures: Sequence[Verdict]) -> None:
        is_final = all(verdict.is_final for verdict in failures)
        pause = min(FIRST_PAUSE * 2 ** min(round_number, 10), LONGEST_PAUSE)
        await self.rest(None if is_final else pause)


def words(name: str) -> str:
    """A name as people read it: `reserve-stock` as `reserve stock`."""
    return name.replace("-", " ").replace("_", " ")
