"""One activity, tried as its policy says, and what came of it."""

from collections.abc import Sequence

from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy
from temporalio.exceptions import ActivityError

from ._ledger import Outcome
from ._steps import Call
from ._verdict import Verdict, verdict_of


async def attempt(
    call: Call,
    arguments: Sequence[object],
    *,
    activity_id: str,
    summary: str,
    attempts: int | None = None,
) -> Verdict:
    """Runs an activity and says how it ended; raises only when the workflow itself is cancelled or evicted.

    The activity is cancelled with the workflow, but waited for: a compensation never overtakes its action.
    """
    tries = attempts or call.policy.attempts
    try:
        answer: RawValue = await workflow.execute_activity(
            call.activity,
            args=list(arguments),
            # Taken raw: an answer of another type must become an unknown outcome, not a failed workflow.
            result_type=RawValue,
            task_queue=call.task_queue,
            start_to_close_timeout=call.policy.timeout,
            heartbeat_timeout=call.policy.heartbeat,
            retry_policy=RetryPolicy(
                initial_interval=call.policy.pause,
                backoff_coefficient=call.policy.backoff,
                maximum_interval=call.policy.longest_pause,
                maximum_attempts=tries,
            ),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            activity_id=activity_id,
            summary=summary,
        )
    except ActivityError as error:
        return verdict_of(error, call.rejections, attempts=tries)
    if call.result is None:
        return Verdict(Outcome.DONE)
    try:
        value = workflow.payload_converter().from_payload(answer.payload, call.result)
    except Exception as error:  # noqa: BLE001 - whatever a converter raises, the answer is not readable
        # Never its text, which quotes the answer: reasons are kept in clear.
        reason = f"the answer is no {call.result.__name__}: {type(error).__name__}"
        return Verdict(Outcome.UNKNOWN, reason=reason, is_final=True)
    return Verdict(Outcome.DONE, value)
