"""Activities that must succeed: compensations, the pivot's verdict, and what comes after the pivot.

They are tried in rounds. A round that fails makes the saga stuck, which it says, and is followed by another
after a pause that grows; a final refusal waits for a person, as another try would be answered the same. A
person can have it tried again at once, or settle it by hand.
"""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from temporalio import workflow
from temporalio.api.common.v1 import Payload

from .._keys import COMPENSATE
from .._ledger import Compensation, Ledger, Outcome, Owed
from .._mark import Purpose, plain_mark
from .._status import Board, Status
from .._steps import Call
from .._verbs import ByHand
from .._verdict import Verdict
from .attempt import carry_out, encode

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE_AFTER_A_DAY = timedelta(hours=1)
"""A round is about eleven events of a history, which has room for 50 thousand: enough for half a year."""
NEXT_ATTEMPT = "until the next attempt"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that keeps failing, as long as it does."""

    purpose: Purpose
    reason: str
    result: type[object] | None = None
    """What its action would return; nobody needs to know what a compensation returns."""


class Insistence:
    """Tries until it succeeds or is settled by hand, and says so while it does not."""

    def __init__(self, board: Board, by_hand: dict[str, ByHand] | None = None) -> None:
        self.troubles: dict[str, Trouble] = {}
        self.by_hand: dict[str, ByHand] = by_hand or {}
        self._board = board
        self.retries = 0
        self._settled: dict[str, Verdict] = {}
        self._attempted: set[str] = set()
        board.failing = self.troubles

    def retry(self) -> None:
        """Ends every pause and tries again what was refused; an operator's word that something changed."""
        self.retries += 1

    def settle(self, address: str, how: ByHand, verdict: Verdict) -> None:
        """Takes a person's word for what became of something that is in trouble."""
        self.by_hand[address] = how
        self._settled[address] = verdict

    def refuse_to_settle(self, address: str) -> str | None:
        """Why a person's word on something in trouble cannot be taken now, in a sentence."""
        if address in self._settled:
            return f"{address!r} was settled already"
        if address in self._attempted:
            return f"{address!r} is being tried again: nobody knows yet how that ends; ask again afterwards"
        return None

    @contextmanager
    def attempting(self, address: str) -> Generator[None]:
        """Takes nobody's word on `address` meanwhile."""
        self._attempted.add(address)
        try:
            yield
        finally:
            self._attempted.discard(address)

    async def make_up(self, ledger: Ledger) -> None:
        """Runs what is owed, in its order, until nothing is; one that fails does not hold up the others."""
        since = workflow.now()
        for round_number in count():
            failures: dict[str, Verdict] = {}
            seen = self.retries
            await self._run(ledger, ledger.plan(), failures)
            if not failures:
                return
            reasons = (f"{address}: {verdict.reason}" for address, verdict in failures.items())
            self._board.show(Status.STUCK, "; ".join(reasons))
            await self.rest(_pause(round_number, since, list(failures.values())), *failures, since=seen)
            for address in failures:
                if address in self._settled:
                    ledger.made_up_for(address)
                    del self.troubles[address]

    async def until_done(
        self, call: Call, arguments: Sequence[object], *, activity_id: str, summary: str, mark: Payload
    ) -> Verdict:
        """Runs what follows the pivot; there is no other way than forward."""
        since = workflow.now()
        for round_number in count():
            seen = self.retries
            with self.attempting(activity_id):
                verdict = await carry_out(
                    call, arguments, activity_id=activity_id, summary=summary, mark=mark
                )
            if verdict.outcome is not Outcome.DONE:
                self.is_stuck(activity_id, Purpose.RETRIABLE, verdict, call)
                pause = _pause(round_number, since, [verdict])
                settled = await self.rest(pause, activity_id, since=seen)
                verdict = settled or verdict
            if verdict.outcome is Outcome.DONE:
                self.is_through(activity_id)
                return verdict
        raise AssertionError("unreachable")

    async def verdict_by_hand(self, address: str, call: Call, reason: str) -> Verdict:
        """Waits until a person says what became of the pivot, which cannot be tried again."""
        unknown = Verdict(Outcome.UNKNOWN, reason=reason, is_final=True)
        self.is_stuck(address, Purpose.PIVOT, unknown, call)
        while (verdict := await self.rest(None, address)) is None:
            pass
        self.is_through(address)
        return verdict

    async def settle_lost(self, ledger: Ledger, child: str) -> None:
        """Waits until a person says that a child is made up for that ended without telling what it owes."""
        reason = f"nobody knows what {child} owes: rescue it from its history, then complete it"
        self.troubles[child] = Trouble(Purpose.COMPENSATION, reason)
        self._board.show(Status.STUCK, reason)
        while await self.rest(None, child) is None:
            pass
        del self.troubles[child]
        ledger.failed(child, Outcome.REJECTED)

    def is_stuck(self, address: str, purpose: Purpose, verdict: Verdict, call: Call) -> None:
        """Says so."""
        self.troubles[address] = Trouble(purpose, verdict.reason, call.result)
        self._board.show(Status.STUCK, f"{address}: {verdict.reason}")

    def is_through(self, address: str) -> None:
        """Says that what may have been stuck is not any more."""
        if self.troubles.pop(address, None) and not self.troubles:
            self._board.show(Status.HELD if self._board.is_held else Status.RUNNING)

    async def rest(
        self, pause: timedelta | None, *addresses: str, since: int | None = None
    ) -> Verdict | None:
        """Waits as long as the pause is, where there is one, or until a person steps in.

        Args:
            pause: How long.
            addresses: What is waited for.
            since: The number of retries when the attempt began after which this is the rest: who has asked
                for another one since then is heard.

        Returns:
            What a person has settled of these addresses, the first of them.
        """
        seen = self.retries if since is None else since
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self.retries > seen or any(address in self._settled for address in addresses),
                timeout=pause,
                timeout_summary=NEXT_ATTEMPT,
            )
        return next((self._settled[address] for address in addresses if address in self._settled), None)

    async def _run(self, ledger: Ledger, plan: Sequence[Owed], failures: dict[str, Verdict]) -> None:
        for part in plan:
            if isinstance(part, Compensation):
                await self._compensate(ledger, part, failures)
                continue
            lanes = [asyncio.create_task(self._run(ledger, lane, failures)) for lane in part.lanes]
            await workflow.wait(lanes)
            for lane in lanes:
                lane.result()

    async def _compensate(self, ledger: Ledger, owed: Compensation, failures: dict[str, Verdict]) -> None:
        call = Call(activity=owed.activity, result=None, policy=owed.policy, task_queue=owed.task_queue)
        if owed.address in self._settled:
            # By hand, while others of this round were tried.
            verdict = Verdict(Outcome.DONE)
        else:
            with self.attempting(owed.address):
                verdict = await carry_out(
                    call,
                    _sendable(owed),
                    activity_id=f"{COMPENSATE}{owed.address}",
                    summary=f"compensate: {words(owed.activity)}",
                    mark=plain_mark(Purpose.COMPENSATION),
                )
        if verdict.outcome is Outcome.DONE:
            ledger.made_up_for(owed.address)
            self.troubles.pop(owed.address, None)
            self._board.metrics.compensation_done()
        else:
            self._board.metrics.compensation_failed()
            failures[owed.address] = verdict
            self.troubles[owed.address] = Trouble(Purpose.COMPENSATION, verdict.reason)


def _sendable(owed: Compensation) -> tuple[object, ...]:
    """What a compensation is given; a result that is too large to be passed on is one that nobody knows."""
    if owed.takes_result and isinstance(encode(owed.arguments, owed.address), Verdict):
        return (*owed.arguments[:1], None)
    return owed.arguments


def _pause(round_number: int, since: datetime, failures: Sequence[Verdict]) -> timedelta | None:
    """The pause before the next round; none where only a person can help."""
    if all(verdict.is_final for verdict in failures):
        return None
    is_old = workflow.now() - since > timedelta(days=1)
    longest = LONGEST_PAUSE_AFTER_A_DAY if is_old else LONGEST_PAUSE
    return min(FIRST_PAUSE * int(2 ** min(round_number, 10)), longest)


def words(name: str) -> str:
    """A name as people read it: `reserve-stock` as `reserve stock`."""
    return name.replace("-", " ").replace("_", " ")
