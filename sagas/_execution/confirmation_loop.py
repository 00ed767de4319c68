"""Confirmations of a saga that can no longer fail: in the order of the steps, repeated until done."""

from itertools import count

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import PendingConfirmation
from .._core.ids import CONFIRM
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._declarations.activity_spec import ActivitySpec
from .._run.forward_check import wait_until_forward
from .._run.scope import Scope
from .._wire.activity_header import plain_header
from .activity_call import ActivityCall, run_activity
from .backoff import HistoryUsage, retry_interval, worker_timeout
from .retry_loop import RetryLoop, summary_of


class ConfirmationLoop:
    """Runs the confirmations of a saga; marks the saga as stuck while a confirmation keeps failing.

    Operators find a stuck confirmation under the activity id: a step after the pivot may be stuck under the
    address of the step as well.

    Args:
        scope: The saga.
        retry_loop: The retries that operators request, and the manual resolutions.
    """

    def __init__(self, scope: Scope, retry_loop: RetryLoop) -> None:
        self._scope, self._retry_loop = scope, retry_loop
        self._rejected: dict[str, tuple[ActivityOutcome, int]] = {}
        """The confirmations that were rejected for good, with the number of retry requests before."""

    async def run(self) -> None:
        """Runs the pending confirmations in order until all are done.

        A failing confirmation does not delay the other confirmations. No confirmation starts during a hold.
        """
        usage = HistoryUsage.now()
        for number in count():
            used, requests = usage.share_used_since(), self._retry_loop.retry_requests
            failures = dict[str, ActivityOutcome]()
            for pending in self._scope.ledger.confirmations():
                await wait_until_forward(self._scope)
                outcome = await self._confirm(pending, number, used)
                if outcome.outcome is not Outcome.DONE:
                    failures[_key_of(pending)] = outcome
            if not failures:
                return
            needs_person = all(outcome.is_final for outcome in failures.values())
            interval = None if needs_person else retry_interval(number, usage.share_used_since())
            await self._retry_loop.wait_for_retry(interval, *failures, since=requests)

    async def _confirm(self, pending: PendingConfirmation, number: int, used: float) -> ActivityOutcome:
        """Tries a confirmation once, unless the confirmation was completed manually or rejected for good."""
        key, requests = _key_of(pending), self._retry_loop.retry_requests
        if key in self._scope.lifecycle.resolved_outcomes:
            outcome = ActivityOutcome(Outcome.DONE)
        elif self._rejected.get(key, (None, -1))[1] == requests:
            return self._rejected[key][0]
        else:
            outcome = await self._try(pending, number, used)
        if outcome.outcome is Outcome.DONE:
            self._scope.ledger.mark_confirmed(pending.address)
            self._retry_loop.mark_resolved(key)
        elif outcome.is_final:
            self._rejected[key] = outcome, requests
        return outcome

    async def _try(self, pending: PendingConfirmation, number: int, used: float) -> ActivityOutcome:
        call = ActivityCall(
            spec=ActivitySpec(
                activity=pending.activity, result=None, policy=pending.policy, task_queue=pending.task_queue
            ),
            arguments=pending.arguments,
            activity_id=_key_of(pending),
            summary=f"confirm: {summary_of(pending.activity, pending.address)}",
            header=plain_header(Purpose.CONFIRMATION),
            is_checked=False,
        )
        with self._retry_loop.attempting(call.activity_id):
            timeout = worker_timeout(pending.policy, number, used)
            outcome = await run_activity(call, worker_timeout=timeout)
        if outcome.outcome is not Outcome.DONE:
            self._retry_loop.mark_stuck(call, Purpose.CONFIRMATION, outcome.reason)
        return outcome


def _key_of(pending: PendingConfirmation) -> str:
    return f"{CONFIRM}{pending.address}"
