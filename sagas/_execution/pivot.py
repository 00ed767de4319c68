"""Execution of the pivot: attempted until the outcome is known, as the pivot cannot be compensated."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from .._core.activity_outcome import ActivityOutcome
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._declarations.activity_spec import ActivitySpec
from .._run.scope import Scope
from .._wire.failures import NO_WORKER
from .activity_call import ActivityCall, probe_unknown, run_attempts
from .backoff import HistoryUsage, retry_interval, worker_timeout
from .retry_loop import RetryLoop

IN_DOUBT = (Outcome.UNKNOWN, Outcome.WITHDRAWN)


async def run_pivot(
    call: ActivityCall, scope: Scope, retry_loop: RetryLoop, *, may_have_begun: bool
) -> ActivityOutcome:
    """Runs the pivot in single attempts, so that the saga knows whether any attempt has begun.

    Until an attempt may have begun, a cancel withdraws the pivot. From then on cancels are blocked until the
    pivot is known not to have happened.

    Args:
        call: The pivot's action.
        scope: The saga.
        retry_loop: Waits between attempts, also for operators.
        may_have_begun: Whether an earlier attempt may have begun; unknown in a run that was reset.
    """
    lifecycle, policy = scope.lifecycle, call.spec.policy
    round_length = policy.attempts_in_round()
    attempts, usage = 0, HistoryUsage.now()
    while True:
        requests = retry_loop.retry_requests
        # The first attempt to begin waits for a worker without a limit, and can be cancelled during the wait.
        timeout = worker_timeout(policy, max(0, attempts - round_length), usage.share_used_since())
        with retry_loop.attempting(call.activity_id):
            try:
                outcome = await run_attempts(
                    call, maximum_attempts=1, worker_timeout=timeout if lifecycle.is_pivot_in_doubt else None
                )
            except asyncio.CancelledError:
                # The cancel arrived together with the result, and the result is lost: the next attempt with
                # the same idempotency key gets the result again.
                outcome = ActivityOutcome(Outcome.UNKNOWN, reason="cancelled while it was answered")
            is_withdrawn = outcome.outcome is Outcome.WITHDRAWN
            if is_withdrawn and not lifecycle.is_pivot_in_doubt and not may_have_begun:
                return outcome
            if outcome.outcome in IN_DOUBT:
                lifecycle.mark_pivot_in_doubt()
                with suppress(asyncio.CancelledError):
                    outcome = await probe_unknown(call, outcome, worker_timeout=timeout)
        attempts += 1
        if outcome.outcome in IN_DOUBT:
            interval = _interval_after(attempts, usage.share_used_since(), call.spec, outcome)
            are_attempts_spent = outcome.code == NO_WORKER or attempts >= round_length
            if interval is None or are_attempts_spent:
                retry_loop.mark_stuck(call, Purpose.PIVOT, outcome.reason)
            # A timeout of the calling code cuts the interval short; the timeout cannot withdraw the pivot.
            with suppress(asyncio.CancelledError):
                resolved = await retry_loop.wait_for_retry(interval, call.activity_id, since=requests)
                outcome = resolved or outcome
        if outcome.outcome is Outcome.DONE:
            lifecycle.pass_pivot()
        elif outcome.outcome is Outcome.REJECTED:
            lifecycle.withdraw_pivot()
        else:
            continue
        retry_loop.mark_resolved(call.activity_id)
        return outcome


def _interval_after(
    attempts: int, used: float, spec: ActivitySpec, outcome: ActivityOutcome
) -> timedelta | None:
    """Returns the interval after some attempts: the policy's, later the interval of steps that must succeed.

    The interval is None if only a person can help: a retry would have the same outcome, and there is no
    probe.
    """
    if outcome.is_final and spec.probe is None:
        return None
    round_number = attempts - spec.policy.attempts_in_round()
    growing = retry_interval(round_number, used) if round_number >= 0 else timedelta(0)
    return max(spec.policy.interval_after(attempts), growing)
