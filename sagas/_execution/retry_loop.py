"""Activities that must succeed: compensations, the pivot's verdict, and what comes after the pivot.

They are tried in rounds. What fails, or finds no worker, makes the saga stuck, which it says at once, and is
tried again after a pause that grows; what was refused for good waits for a person, as another try would be
answered the same. A person can have it tried again at once, or settle it by hand.
"""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from temporalio import workflow
from temporalio.api.common.v1 import Payload

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import PendingCompensation, PlanItem
from .._core.ids import COMPENSATE
from .._core.ledger import Ledger
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.status import Status
from .._declarations.activity_spec import ActivitySpec
from .._run.status_publisher import StatusPublisher
from .._wire.activity_header import plain_header
from .._wire.operator_requests import ManualResolution
from .._wire.timer_summaries import NEXT_ATTEMPT
from .activity_call import encode, run_activity
from .backoff import HistoryUsage, patience, pause_after


@dataclass(frozen=True, slots=True)
class StuckStep:
    """Something that keeps failing, as long as it does."""

    purpose: Purpose
    reason: str
    result: type[object] | None = None
    """What its action would return; nobody needs to know what a compensation returns."""


@dataclass(frozen=True, slots=True)
class _Round:
    """One time that everything which is owed is tried."""

    number: int
    spent: float
    """The share of the history that the rounds before have taken."""
    ledger: Ledger
    failures: dict[str, ActivityOutcome] = field(default_factory=dict[str, ActivityOutcome])


class RetryLoop:
    """Tries until it succeeds or is settled by hand, and says so while it does not."""

    def __init__(self, board: StatusPublisher, by_hand: dict[str, ManualResolution] | None = None) -> None:
        self.stuck_steps: dict[str, StuckStep] = {}
        self.by_hand: dict[str, ManualResolution] = by_hand or {}
        self._board = board
        self.retries = 0
        self._settled: dict[str, ActivityOutcome] = {}
        self._refused: dict[str, ActivityOutcome] = {}
        """What nobody is asked for again until a person says so."""
        self._attempted: set[str] = set()
        board.failing = self.stuck_steps

    def retry(self) -> None:
        """Ends every pause and tries again what was refused; an operator's word that something changed."""
        self.retries += 1
        self._refused.clear()

    def settle(self, address: str, how: ManualResolution, verdict: ActivityOutcome) -> None:
        """Takes a person's word for what became of something that is in trouble."""
        self.by_hand[address] = how
        self._settled[address] = verdict
        self._refused.pop(address, None)

    def reason_not_to_resolve(self, address: str) -> str | None:
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
        trail = HistoryUsage.here()
        for number in count():
            this, seen = _Round(number, trail.spent(), ledger), self.retries
            await self._run(ledger.plan(), this)
            if not this.failures:
                return
            self._show_stuck()
            only_a_person_helps = all(verdict.is_final for verdict in this.failures.values())
            pause = None if only_a_person_helps else pause_after(number, trail.spent())
            await self.rest(pause, *this.failures, since=seen)
            for address in this.failures:
                if address in self._settled:
                    ledger.mark_compensated(address)
                    del self.stuck_steps[address]

    async def until_done(
        self,
        call: ActivitySpec,
        arguments: Sequence[object],
        *,
        activity_id: str,
        summary: str,
        mark: Payload,
    ) -> ActivityOutcome:
        """Runs what follows the pivot; there is no other way than forward."""
        trail = HistoryUsage.here()
        for number in count():
            seen = self.retries
            with self.attempting(activity_id):
                verdict = await run_activity(
                    call,
                    arguments,
                    activity_id=activity_id,
                    summary=summary,
                    mark=mark,
                    taken_within=patience(call.policy, number, trail.spent()),
                )
            if verdict.outcome is not Outcome.DONE:
                self.is_stuck(activity_id, Purpose.RETRIABLE, verdict, call)
                pause = None if verdict.is_final else pause_after(number, trail.spent())
                settled = await self.rest(pause, activity_id, since=seen)
                verdict = settled or verdict
            if verdict.outcome is Outcome.DONE:
                self.is_through(activity_id)
                return verdict
        raise AssertionError("unreachable")

    async def verdict_by_hand(self, address: str, call: ActivitySpec, reason: str) -> ActivityOutcome:
        """Waits until a person says what became of the pivot, which cannot be tried again."""
        unknown = ActivityOutcome(Outcome.UNKNOWN, reason=reason, is_final=True)
        self.is_stuck(address, Purpose.PIVOT, unknown, call)
        while (verdict := await self.rest(None, address)) is None:
            pass
        self.is_through(address)
        return verdict

    async def settle_lost(self, ledger: Ledger, child: str) -> None:
        """Waits until a person says that a child is made up for that ended without telling what it owes."""
        reason = f"nobody knows what {child} owes: rescue it from its history, then complete it"
        self.stuck_steps[child] = StuckStep(Purpose.COMPENSATION, reason)
        self._board.show(Status.STUCK, reason)
        while await self.rest(None, child) is None:
            pass
        del self.stuck_steps[child]
        ledger.failed(child, Outcome.REJECTED)

    def is_stuck(self, address: str, purpose: Purpose, verdict: ActivityOutcome, call: ActivitySpec) -> None:
        """Says so."""
        self.stuck_steps[address] = StuckStep(purpose, verdict.reason, call.result)
        self._show_stuck()

    def is_through(self, address: str) -> None:
        """Says that what may have been stuck is not any more."""
        if self.stuck_steps.pop(address, None) is None:
            return
        if self.stuck_steps:
            self._show_stuck()
        else:
            self._board.show(Status.HELD if self._board.is_held else Status.RUNNING)

    async def rest(
        self, pause: timedelta | None, *addresses: str, since: int | None = None
    ) -> ActivityOutcome | None:
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

    def _show_stuck(self) -> None:
        reasons = (f"{address}: {trouble.reason}" for address, trouble in self.stuck_steps.items())
        self._board.show(Status.STUCK, "; ".join(reasons))

    async def _run(self, plan: Sequence[PlanItem], this: _Round) -> None:
        for part in plan:
            if isinstance(part, PendingCompensation):
                await self._compensate(part, this)
                continue
            lanes = [asyncio.create_task(self._run(lane, this)) for lane in part.lanes]
            await workflow.wait(lanes)
            for lane in lanes:
                lane.result()

    async def _compensate(self, owed: PendingCompensation, this: _Round) -> None:
        if refused := self._refused.get(owed.address):
            this.failures[owed.address] = refused
            return
        # By hand, while others of this round were tried.
        is_settled = owed.address in self._settled
        verdict = ActivityOutcome(Outcome.DONE) if is_settled else await self._try(owed, this)
        if verdict.outcome is Outcome.DONE:
            this.ledger.mark_compensated(owed.address)
            self.stuck_steps.pop(owed.address, None)
            if not is_settled:
                self._board.metrics.compensation_done()
        else:
            self._board.metrics.compensation_failed()
            this.failures[owed.address] = verdict
            self.stuck_steps[owed.address] = StuckStep(Purpose.COMPENSATION, verdict.reason)
            self._show_stuck()

    async def _try(self, owed: PendingCompensation, this: _Round) -> ActivityOutcome:
        seen = self.retries
        with self.attempting(owed.address):
            verdict = await run_activity(
                ActivitySpec(
                    activity=owed.activity, result=None, policy=owed.policy, task_queue=owed.task_queue
                ),
                _sendable(owed),
                activity_id=f"{COMPENSATE}{owed.address}",
                summary=f"compensate: {words(owed.activity)}",
                mark=plain_header(Purpose.COMPENSATION),
                taken_within=patience(owed.policy, this.number, this.spent),
            )
        # Whoever asked for a retry meanwhile may have mended what it was refused for.
        if verdict.is_final and self.retries == seen:
            self._refused[owed.address] = verdict
        return verdict


def _sendable(owed: PendingCompensation) -> tuple[object, ...]:
    """What a compensation is given; a result that is too large to be passed on is one that nobody knows."""
    if owed.takes_result and isinstance(encode(owed.arguments, owed.address), ActivityOutcome):
        return (*owed.arguments[:1], None)
    return owed.arguments


def words(name: str) -> str:
    """A name as people read it: `reserve-stock` as `reserve stock`."""
    return name.replace("-", " ").replace("_", " ")
