"""The point of no return: tried until there is a verdict, as nothing may cross it backwards."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio.api.common.v1 import Payload

from .._core.activity_outcome import ActivityOutcome
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._declarations.activity_spec import ActivitySpec
from .._declarations.step import Action
from .._execution.activity_call import attempt, resolve
from .._execution.backoff import HistoryUsage, patience, pause_after
from .._execution.retry_loop import RetryLoop, words
from .._run.cancellation_shield import CancellationShield
from .._wire.failures import NO_WORKER


async def run_pivot(
    action: Action[Any, Any],
    message: object,
    *,
    address: str,
    mark: Payload,
    was_reset: bool,
    guard: CancellationShield,
    insistence: RetryLoop,
) -> ActivityOutcome:
    """Tries the pivot one attempt at a time, so that it is known whether any has begun.

    Until then a cancel withdraws it; from then on the guard is deaf, until it is known that it did not
    happen. In a run that was reset, nobody knows whether it has begun before.
    """
    tried, trail = 0, HistoryUsage.here()
    round_length = action.call.policy.attempts_in_round()
    while True:
        seen = insistence.retries
        # One that cannot have begun waits for its workers, and can be cancelled meanwhile.
        round_number = max(0, tried - round_length)
        wait = patience(action.call.policy, round_number, trail.spent())
        with insistence.attempting(address):
            try:
                verdict = await attempt(
                    action.call,
                    [message],
                    activity_id=address,
                    summary=words(action.name),
                    mark=mark,
                    attempts=1,
                    taken_within=wait if guard.is_shielded else None,
                )
            except asyncio.CancelledError:
                # The cancel arrived together with the answer, which is lost: the same key gets it again.
                verdict = ActivityOutcome(Outcome.UNKNOWN, reason="cancelled while it was answered")
            if verdict.outcome is Outcome.WITHDRAWN and not guard.is_shielded and not was_reset:
                return verdict
            if verdict.outcome in (Outcome.UNKNOWN, Outcome.WITHDRAWN):
                guard.is_shielded = True
                with suppress(asyncio.CancelledError):
                    verdict = await resolve(action.call, message, verdict, address=address, taken_within=wait)
        tried += 1
        if verdict.outcome in (Outcome.UNKNOWN, Outcome.WITHDRAWN):
            pause = _pause_after(tried, trail.spent(), action.call, verdict)
            is_waited_for = verdict.code == NO_WORKER or tried >= round_length
            if pause is None or is_waited_for:
                insistence.is_stuck(address, Purpose.PIVOT, verdict, action.call)
            # A time limit of the caller's own cuts the pause short; it cannot take the pivot back.
            with suppress(asyncio.CancelledError):
                verdict = await insistence.rest(pause, address, since=seen) or verdict
        if verdict.outcome in (Outcome.DONE, Outcome.REJECTED):
            guard.is_shielded = verdict.outcome is Outcome.DONE
            insistence.is_through(address)
            return verdict


def _pause_after(tried: int, spent: float, call: ActivitySpec, verdict: ActivityOutcome) -> timedelta | None:
    """The pause after so many attempts: its policy's, then as of everything that must succeed.

    None where only a person can help: it would be answered the same, and there is no probe that could tell.
    """
    if verdict.is_final and call.probe is None:
        return None
    round_number = tried - call.policy.attempts_in_round()
    growing = pause_after(round_number, spent) if round_number >= 0 else timedelta(0)
    return max(call.policy.pause_after(tried), growing)
