"""Retries of activities that must succeed: compensations, the pivot in doubt, and steps after the pivot.

The activities run in rounds. An activity that fails, or finds no worker, makes the saga stuck at once, and is
retried after a growing interval. An activity that was rejected for good is not retried automatically, because
a retry would have the same outcome: an operator requests a retry, or resolves the activity manually. An
operator can also end an interval early.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

from temporalio import workflow

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import OnStuck, PendingCompensation, PlanItem, select
from .._core.ids import COMPENSATE, key_of
from .._core.lifecycle import ManualResolution, StuckStep
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._declarations.activity_spec import ActivitySpec
from .._run.scope import Scope
from .._wire.activity_header import plain_header
from .._wire.timer_summaries import NEXT_ATTEMPT
from .activity_call import ActivityCall, encode_arguments, run_activity
from .backoff import HistoryUsage, retry_interval, worker_timeout


@dataclass(slots=True)
class _Round:
    """A round of all pending compensations."""

    number: int
    used: float
    """The share of the history used by the rounds before."""
    unit: str
    """The address of the compensated section or step; empty for the whole saga."""
    failures: dict[str, ActivityOutcome] = field(default_factory=dict[str, ActivityOutcome])
    has_progress: bool = False
    """Whether a compensation of the round is done."""


class RetryLoop:
    """Retries activities until success or manual resolution; marks the saga as stuck meanwhile.

    Args:
        scope: The saga.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.retry_requests = 0
        """The number of retries that operators requested."""
        self._rejected: dict[str, ActivityOutcome] = {}
        """The activities that were rejected for good, until an operator requests a retry."""

    def retry(self) -> None:
        """Ends every interval and retries rejected activities, after an operator has fixed the cause."""
        self.retry_requests += 1
        self._rejected.clear()

    def resolve(self, address: str, resolution: ManualResolution, outcome: ActivityOutcome) -> None:
        """Records the manual resolution of a stuck step."""
        self._scope.lifecycle.resolve_manually(address, resolution, outcome)
        self._rejected.pop(address, None)

    @contextmanager
    def attempting(self, address: str) -> Generator[None]:
        """Refuses manual resolutions of `address` meanwhile."""
        self._scope.lifecycle.retrying.add(address)
        try:
            yield
        finally:
            self._scope.lifecycle.retrying.discard(address)

    async def compensate_with_children(self) -> None:
        """Runs the pending compensations, and waits for the resolution of children that reported none.

        The children come last, or with `OnStuck.WAIT` at their places, the newest first.
        """
        ledger = self._scope.ledger
        await self.compensate(ledger.plan, "")
        while children := ledger.unresolved_children():
            await self.wait_for_child_resolution(children[-1 if self._waits else 0])
            await self.compensate(ledger.plan, "")

    async def compensate(self, plan: Callable[[], Sequence[PlanItem]], unit: str) -> None:
        """Runs the compensations of a plan in order until all are done.

        With `OnStuck.CONTINUE`, a failing compensation does not delay the other compensations.

        Args:
            plan: Returns the pending compensations.
            unit: The address of the compensated section or step; empty for the whole saga.
        """
        ledger, usage, number = self._scope.ledger, HistoryUsage.now(), 0
        held = {} if unit else ledger.behind_children()
        while due := select(plan(), lambda address: address not in held):
            this, requests = _Round(number, usage.share_used_since(), unit), self.retry_requests
            await self._run_plan(due, this)
            if not this.failures:
                return
            # Compensations that waited are tried for the first time: the intervals begin anew.
            number = 0 if self._waits and this.has_progress else number
            self._publish_stuck()
            needs_person = all(outcome.is_final for outcome in this.failures.values())
            interval = None if needs_person else retry_interval(number, usage.share_used_since())
            await self.wait_for_retry(interval, *this.failures, since=requests)
            for address in this.failures:
                if address in self._scope.lifecycle.resolved_outcomes:
                    ledger.mark_compensated(address)
                    self._scope.lifecycle.mark_resolved(address)
            number += 1

    @property
    def _waits(self) -> bool:
        return self._scope.ledger.on_stuck is OnStuck.WAIT

    async def run_until_done(self, call: ActivityCall) -> ActivityOutcome:
        """Runs a step after the pivot until the step is done or resolved manually."""
        usage = HistoryUsage.now()
        for number in count():
            requests = self.retry_requests
            with self.attempting(call.activity_id):
                timeout = worker_timeout(call.spec.policy, number, usage.share_used_since())
                outcome = await run_activity(call, worker_timeout=timeout)
            if outcome.outcome is not Outcome.DONE:
                self.mark_stuck(call, Purpose.RETRIABLE, outcome.reason)
                interval = None if outcome.is_final else retry_interval(number, usage.share_used_since())
                resolved = await self.wait_for_retry(interval, call.activity_id, since=requests)
                outcome = resolved or outcome
            if outcome.outcome is Outcome.DONE:
                self.mark_resolved(call.activity_id)
                return outcome
        raise AssertionError("unreachable")

    async def wait_for_pivot_resolution(
        self, address: str, result_type: type[object] | None, reason: str
    ) -> ActivityOutcome:
        """Waits until a person resolves a pivot in doubt that cannot be retried."""
        self._mark_stuck(address, StuckStep(Purpose.PIVOT, reason, result_type))
        while (outcome := await self.wait_for_retry(None, address)) is None:
            pass
        self.mark_resolved(address)
        return outcome

    async def wait_for_child_resolution(self, child: str) -> None:
        """Waits until a person marks a child with unknown pending compensations as compensated."""
        lifecycle = self._scope.lifecycle
        reason = f"the pending compensations of {child} are unknown: rescue {child}, then complete it here"
        lifecycle.mark_stuck(child, StuckStep(Purpose.COMPENSATION, reason))
        self._scope.publish(reason)
        while await self.wait_for_retry(None, child) is None:
            pass
        lifecycle.mark_resolved(child)
        self._scope.ledger.fail(child, Outcome.REJECTED)

    def mark_stuck(self, call: ActivityCall, purpose: Purpose, reason: str) -> None:
        """Marks an activity and the saga as stuck, and publishes the status."""
        self._mark_stuck(call.activity_id, StuckStep(purpose, reason, call.spec.result))

    def mark_resolved(self, address: str) -> None:
        """Records that a step is done or resolved, and publishes the status if the step was stuck."""
        if not self._scope.lifecycle.mark_resolved(address):
            return
        if self._scope.lifecycle.stuck_steps:
            self._publish_stuck()
        else:
            self._scope.publish()

    async def wait_for_retry(
        self, interval: timedelta | None, *addresses: str, since: int | None = None
    ) -> ActivityOutcome | None:
        """Waits until the interval is over, a person requests a retry, or a person resolves a step.

        Args:
            interval: The longest wait; None for an unlimited wait.
            addresses: The steps whose manual resolution ends the wait.
            since: The number of retry requests before the last attempt: a request during the attempt ends the
                wait.

        Returns:
            The first manual resolution among the steps.
        """
        seen = self.retry_requests if since is None else since
        resolved = self._scope.lifecycle.resolved_outcomes
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self.retry_requests > seen or any(address in resolved for address in addresses),
                timeout=interval,
                timeout_summary=NEXT_ATTEMPT,
            )
        return next((resolved[address] for address in addresses if address in resolved), None)

    def _mark_stuck(self, address: str, step: StuckStep) -> None:
        self._scope.lifecycle.mark_stuck(address, step)
        self._publish_stuck()

    def _publish_stuck(self) -> None:
        steps = self._scope.lifecycle.stuck_steps.items()
        self._scope.publish("; ".join(f"{address}: {step.reason}" for address, step in steps))

    async def _run_plan(self, plan: Sequence[PlanItem], this: _Round) -> bool:
        """Runs a plan once, and returns whether every compensation is done.

        With `OnStuck.WAIT`, the items after a failing item are left for a later round; branches are
        independent of each other.
        """
        are_done = True
        for item in plan:
            if isinstance(item, PendingCompensation):
                are_done &= await self._compensate(item, this)
            else:
                branches = [asyncio.create_task(self._run_plan(branch, this)) for branch in item.branches]
                await workflow.wait(branches)
                results = [branch.result() for branch in branches]
                are_done &= all(results)
            if self._waits and not are_done:
                break
        return are_done

    async def _compensate(self, pending: PendingCompensation, this: _Round) -> bool:
        """Tries a compensation once, and returns whether the compensation is done or resolved."""
        scope, address = self._scope, pending.address
        if rejected := self._rejected.get(address):
            this.failures[address] = rejected
            return False
        # A person may have resolved the step while others of this round were tried.
        is_resolved = address in scope.lifecycle.resolved_outcomes
        outcome = ActivityOutcome(Outcome.DONE) if is_resolved else await self._try(pending, this)
        if outcome.outcome is Outcome.DONE:
            scope.ledger.mark_compensated(address)
            scope.lifecycle.mark_resolved(address)
            this.has_progress = True
            if not is_resolved:
                scope.publisher.metrics.compensation_done()
        else:
            scope.publisher.metrics.compensation_failed()
            this.failures[address] = outcome
            self._mark_stuck(address, StuckStep(Purpose.COMPENSATION, outcome.reason))
        return outcome.outcome is Outcome.DONE

    async def _try(self, pending: PendingCompensation, this: _Round) -> ActivityOutcome:
        requests = self.retry_requests
        call = ActivityCall(
            spec=ActivitySpec(
                activity=pending.activity, result=None, policy=pending.policy, task_queue=pending.task_queue
            ),
            arguments=_sendable(pending),
            activity_id=f"{COMPENSATE}{pending.address}",
            summary=f"compensate: {summary_of(pending.activity, pending.address)}",
            header=plain_header(Purpose.COMPENSATION, unit=this.unit),
            is_checked=False,
        )
        with self.attempting(pending.address):
            timeout = worker_timeout(pending.policy, this.number, this.used)
            outcome = await run_activity(call, worker_timeout=timeout)
        # An operator who requested a retry meanwhile may have fixed the cause of the rejection.
        if outcome.is_final and self.retry_requests == requests:
            self._rejected[pending.address] = outcome
        return outcome


def _sendable(pending: PendingCompensation) -> tuple[object, ...]:
    """Returns the arguments of a compensation; a result that is too large to send is treated as unknown."""
    if not pending.takes_result:
        return pending.arguments
    encoded = encode_arguments(pending.arguments, pending.address)
    return (*pending.arguments[:1], None) if isinstance(encoded, ActivityOutcome) else pending.arguments


def words(name: str) -> str:
    """Returns a name for people: `reserve-stock` as `reserve stock`."""
    return name.replace("-", " ").replace("_", " ")


def summary_of(name: str, address: str) -> str:
    """Returns the name of a step for people, with the step key: `reserve seat [7a]`."""
    key = key_of(address)
    return f"{words(name)} [{key}]" if key else words(name)
