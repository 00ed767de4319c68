"""One activity, tried as its policy says, and what came of it."""

import asyncio
from collections.abc import Sequence
from copy import deepcopy
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import Priority, RawValue, RetryPolicy
from temporalio.exceptions import ActivityError

from .._core.activity_outcome import ActivityOutcome
from .._core.activity_policy import ActivityPolicy
from .._core.ids import PROBE
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._declarations.activity_spec import ActivitySpec
from .._declarations.probe_result import ProbeResult
from .._run.cancellation_shield import current_guard
from .._run.context import current
from .._wire.activity_header import plain_header
from .._wire.failures import NO_WORKER, outcome_of_failure

T = TypeVar("T")

LARGEST = 1024 * 1024
"""Bytes of all that an activity is given; Temporal wedges a workflow that sends more than 2 MiB at once."""
MESSAGE_TOO_LARGE = "message_too_large"
"""The code of a step whose message was not sent, as it is larger than 1 MiB."""
MESSAGE_UNREADABLE = "message_unreadable"
"""The code of a step whose message was not sent, as it cannot be turned into JSON."""


def snapshot(value: T) -> T:
    """A value as it is now, whatever the workflow does with it afterwards."""
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001 - what cannot be copied is no JSON either, and refused when it is sent
        return value


def encode(
    arguments: Sequence[object], what: str, *, largest: int = LARGEST
) -> list[RawValue] | ActivityOutcome:
    """The arguments as they travel; a refusal of `what` if they would wedge the workflow that sends them."""
    try:
        payloads = workflow.payload_converter().to_payloads(list(arguments))
    except Exception as error:  # noqa: BLE001 - whatever a converter raises, the message cannot be sent
        # Never its text, which quotes the message: reasons are kept in clear.
        reason = f"{what} cannot be turned into JSON: {type(error).__name__}"
        return ActivityOutcome(Outcome.REJECTED, code=MESSAGE_UNREADABLE, reason=reason, is_final=True)
    if (size := sum(len(payload.data) for payload in payloads)) > largest:
        reason = f"{what} has {size} bytes; at most {largest} are sent"
        return ActivityOutcome(Outcome.REJECTED, code=MESSAGE_TOO_LARGE, reason=reason, is_final=True)
    return [RawValue(payload) for payload in payloads]


async def run_activity(
    call: ActivitySpec,
    arguments: Sequence[object],
    *,
    activity_id: str,
    summary: str,
    mark: Payload,
    taken_within: timedelta | None = None,
) -> ActivityOutcome:
    """Runs an activity as its policy says; where its outcome is unknown, asks the participant for it."""
    verdict = await attempt(
        call, arguments, activity_id=activity_id, summary=summary, mark=mark, taken_within=taken_within
    )
    return await resolve(call, arguments[0], verdict, address=activity_id, taken_within=taken_within)


async def resolve(
    call: ActivitySpec,
    message: object,
    verdict: ActivityOutcome,
    *,
    address: str,
    taken_within: timedelta | None = None,
) -> ActivityOutcome:
    """Asks the participant what became of an action, where nobody knows and there is a probe."""
    if call.probe is None or verdict.outcome is not Outcome.UNKNOWN or verdict.code == NO_WORKER:
        return verdict
    if workflow.cancellation_reason() is not None and not current_guard().is_shielded:
        # What is in doubt is compensated in any case.
        return verdict
    found = await attempt(
        call.probe,
        [message],
        activity_id=f"{PROBE}{address}",
        summary=f"ask what became of {address}",
        mark=plain_header(Purpose.PROBE),
        taken_within=taken_within,
    )
    if found.outcome is not Outcome.DONE:
        return verdict
    # The type of its result does not matter here: it was checked when the answer was read.
    assert isinstance(found.value, ProbeResult)
    return found.value.to_outcome() or verdict  # pyright: ignore[reportUnknownMemberType]


async def attempt(
    call: ActivitySpec,
    arguments: Sequence[object],
    *,
    activity_id: str,
    summary: str,
    mark: Payload,
    attempts: int | None = None,
    taken_within: timedelta | None = None,
) -> ActivityOutcome:
    """Runs an activity and says how it ended; raises only when the workflow itself is cancelled or evicted.

    The activity is cancelled with the workflow, but waited for: a compensation never overtakes its action.
    One that was cancelled before there was room to send it is withdrawn. It waits for a worker as long as
    there is none, or as `taken_within` says.
    """
    policy = call.policy
    tries = attempts or policy.attempts
    encoded = encode(arguments, f"the message of {activity_id}")
    if isinstance(encoded, ActivityOutcome):
        return encoded
    run = current()
    try:
        await run.load.make_room(sum(len(argument.payload.data) for argument in encoded))
    except asyncio.CancelledError:
        return ActivityOutcome(Outcome.WITHDRAWN, reason="it was cancelled")
    run.mark = mark
    try:
        activity: workflow.ActivityHandle[RawValue] = workflow.start_activity(
            call.activity,
            args=encoded,
            # Taken raw: an answer of another type must become an unknown outcome, not a failed workflow.
            result_type=RawValue,
            task_queue=call.task_queue,
            start_to_close_timeout=policy.timeout,
            schedule_to_close_timeout=policy.deadline
            or (policy.longest_round(tries, taken_within) if taken_within else None),
            schedule_to_start_timeout=taken_within,
            heartbeat_timeout=policy.heartbeat,
            retry_policy=_retry_policy_of(policy, tries),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            activity_id=activity_id,
            summary=summary,
            priority=_priority_of(policy),
        )
        answer = await _answer_of(activity)
    except ActivityError as error:
        return outcome_of_failure(
            error, call.rejections, attempts=tries, non_retryable=policy.non_retryable_error_types
        )
    if call.result is None:
        return ActivityOutcome(Outcome.DONE)
    try:
        value = workflow.payload_converter().from_payload(answer.payload, call.result)
    except Exception as error:  # noqa: BLE001 - whatever a converter raises, the answer is not readable
        # Never its text, which quotes the answer: reasons are kept in clear.
        # A type need not be a class: that of `-> Shipment | None` has no name.
        kind = getattr(call.result, "__name__", call.result)
        reason = f"the answer is no {kind}: {type(error).__name__}"
        return ActivityOutcome(Outcome.UNKNOWN, reason=reason, is_final=True)
    return ActivityOutcome(Outcome.DONE, value)


def _retry_policy_of(policy: ActivityPolicy, attempts: int) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=policy.pause,
        backoff_coefficient=policy.backoff,
        maximum_interval=policy.longest_pause,
        maximum_attempts=attempts,
        non_retryable_error_types=policy.non_retryable_error_types,
    )


def _priority_of(policy: ActivityPolicy) -> Priority:
    return Priority(
        priority_key=policy.priority,
        fairness_key=policy.fairness_key,
        fairness_weight=policy.fairness_weight,
    )


async def _answer_of(activity: workflow.ActivityHandle[RawValue]) -> RawValue:
    """What an activity has answered, also if a cancel comes with it: then Temporal drops the answer.

    A refusal is not compensated, and a compensation is given the result.
    """
    try:
        return await activity
    except asyncio.CancelledError:
        answered: asyncio.Future[RawValue] | None = getattr(activity, "_result_fut", None)
        if answered is None or not answered.done():
            raise
        return answered.result()
