"""The call of one activity, with the attempts of the policy, and the outcome of the call."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

from pydantic import SecretStr
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import Priority, RawValue, RetryPolicy
from temporalio.converter import PayloadConverter
from temporalio.exceptions import ActivityError

from .._core.activity_outcome import ActivityOutcome
from .._core.ids import PROBE
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._declarations.activity_spec import ActivitySpec
from .._declarations.probe_result import ProbeResult
from .._declarations.type_schema import masked_field
from .._errors import DefinitionError
from .._run.activity_header_context import scheduling_with
from .._run.cancellation_shield import current_shield
from .._run.context import current_context
from .._temporal.read_back import changed_part
from .._wire.activity_header import REJECTED_MEMO, plain_header
from .._wire.failures import NO_WORKER, outcome_of_failure
from .._wire.size_limits import LARGEST_MESSAGE

T = TypeVar("T")

MESSAGE_TOO_LARGE = "message_too_large"
"""The code of a step whose message was not sent, because the message is larger than 1 MiB."""
MESSAGE_UNREADABLE = "message_unreadable"
"""The code of a step whose message was not sent, because JSON cannot carry the message unchanged."""
CHECK_PATCH = "saga-checks-messages"
"""The patch id of runs with a refused message: a run of an earlier version has sent such a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityCall:
    """An activity to run for a saga.

    Args:
        spec: The activity type, the result type and the policy.
        arguments: The arguments; the message is the first.
        activity_id: The address of the step, with a prefix for compensations and probes.
        summary: A line for Temporal's Web UI.
        header: The purpose of the activity, for readers of the history.
        is_checked: Whether a message or a result that would arrive with other content rejects the action,
            before the action is sent. A compensation is sent in any case.
    """

    spec: ActivitySpec
    arguments: Sequence[object]
    activity_id: str
    summary: str
    header: Payload
    is_checked: bool = True


def snapshot(value: T) -> T:
    """Returns a copy of a value, to protect the saga from later changes by the workflow."""
    try:
        return deepcopy(value)
    except Exception:  # noqa: BLE001 - a value that cannot be copied is no JSON either, and is refused when sent
        return value


def encode_arguments(
    arguments: Sequence[object],
    name: str,
    *,
    largest: int = LARGEST_MESSAGE,
    is_checked: bool = False,
    result: object = None,
) -> list[RawValue] | ActivityOutcome:
    """Returns the arguments as payloads, or a rejection of `name` if the payloads would block the workflow.

    Args:
        arguments: The arguments of the activity.
        name: The arguments' name in the reason of the rejection.
        largest: Bytes of all payloads together.
        is_checked: Whether arguments or a result that would arrive with other content are refused.
        result: The type of the result.
    """
    try:
        payloads = workflow.payload_converter().to_payloads(list(arguments))
    except Exception as error:  # noqa: BLE001 - a converter may raise anything; the message cannot be sent
        # The text of the error quotes the message, and reasons are stored unencrypted: only the type is
        # reported.
        reason = f"{name} cannot be turned into JSON: {type(error).__name__}"
        return ActivityOutcome(Outcome.REJECTED, code=MESSAGE_UNREADABLE, reason=reason, is_final=True)
    if (
        is_checked
        and (reason := _change_on_the_way(arguments, payloads, name, result))
        and workflow.patched(CHECK_PATCH)
    ):
        return ActivityOutcome(Outcome.REJECTED, code=MESSAGE_UNREADABLE, reason=reason, is_final=True)
    if (size := sum(len(payload.data) for payload in payloads)) > largest:
        reason = f"{name} has {size} bytes; at most {largest} are sent"
        return ActivityOutcome(Outcome.REJECTED, code=MESSAGE_TOO_LARGE, reason=reason, is_final=True)
    return [RawValue(payload) for payload in payloads]


def _change_on_the_way(
    arguments: Sequence[object], payloads: Sequence[Payload], name: str, result: object
) -> str:
    """The reason why the arguments or the result would arrive with other content, or an empty text."""
    converter = workflow.payload_converter()
    for value, payload in zip(arguments, payloads, strict=False):
        if part := changed_part(value, payload, converter):
            return f"{name} would arrive with other content: {part} does not read back the same"
    if result is not None and (field := masked_field(result)) and _masks_secrets(converter):
        return (
            f"the result for {name} would arrive with asterisks: {field!r} is a secret without a serializer"
        )
    return ""


def _masks_secrets(converter: PayloadConverter) -> bool:
    secret = SecretStr("x")
    return changed_part(secret, None, converter) is not None


async def run_activity(call: ActivityCall, *, worker_timeout: timedelta | None = None) -> ActivityOutcome:
    """Runs an activity with the attempts of the policy, and sends the probe if the outcome is unknown.

    Args:
        call: The activity.
        worker_timeout: The longest wait for a worker; unlimited by default.
    """
    outcome = await run_attempts(call, worker_timeout=worker_timeout)
    return await probe_unknown(call, outcome, worker_timeout=worker_timeout)


async def probe_unknown(
    call: ActivityCall, outcome: ActivityOutcome, *, worker_timeout: timedelta | None = None
) -> ActivityOutcome:
    """Sends the probe for an unknown outcome, where there is a probe and an attempt has begun."""
    if call.spec.probe is None or outcome.outcome is not Outcome.UNKNOWN or outcome.code == NO_WORKER:
        return outcome
    if workflow.cancellation_reason() is not None and not current_shield().is_blocking:
        # A step in doubt is compensated in any case.
        return outcome
    probe = ActivityCall(
        spec=call.spec.probe,
        arguments=call.arguments[:1],
        activity_id=f"{PROBE}{call.activity_id}",
        summary=f"ask what became of {call.activity_id}",
        header=plain_header(Purpose.PROBE),
        is_checked=False,
    )
    result = await run_attempts(probe, worker_timeout=worker_timeout)
    if result.outcome is not Outcome.DONE:
        return outcome
    # The type of the result does not matter here: the converter checked the type when the result was read.
    assert isinstance(result.value, ProbeResult)
    return result.value.to_outcome() or outcome  # pyright: ignore[reportUnknownMemberType]


async def run_attempts(
    call: ActivityCall, *, maximum_attempts: int | None = None, worker_timeout: timedelta | None = None
) -> ActivityOutcome:
    """Runs an activity and returns the outcome; raises only when the workflow is cancelled or evicted.

    The activity is cancelled with the workflow, but the call waits for the end of the activity: a
    compensation never overtakes the action. An activity that is cancelled before the workflow task has room
    for the activity is withdrawn.

    Args:
        call: The activity.
        maximum_attempts: The maximum number of attempts; the policy's number by default.
        worker_timeout: The longest wait for a worker; unlimited by default.
    """
    spec = call.spec
    attempts = maximum_attempts or spec.policy.maximum_attempts
    name = f"the message of {call.activity_id}"
    encoded = encode_arguments(call.arguments, name, is_checked=call.is_checked, result=spec.result)
    if isinstance(encoded, ActivityOutcome):
        return encoded
    try:
        result = await _execute(call, encoded, attempts, worker_timeout)
    except ActivityError as error:
        return outcome_of_failure(
            error,
            spec.rejections,
            attempts=attempts,
            non_retryable=spec.policy.non_retryable_error_types,
        )
    if result is None:
        return ActivityOutcome(Outcome.WITHDRAWN, reason="it was cancelled")
    if spec.result is None:
        return ActivityOutcome(Outcome.DONE)
    try:
        value = workflow.payload_converter().from_payload(result.payload, spec.result)
    except Exception as error:  # noqa: BLE001 - a converter may raise anything; the result is not readable
        # The text of the error quotes the result, and reasons are stored unencrypted: only the type is
        # reported. A type need not be a class: the type `Shipment | None` has no name.
        kind = getattr(spec.result, "__name__", spec.result)
        reason = f"the result is no {kind}: {type(error).__name__}"
        return ActivityOutcome(Outcome.UNKNOWN, reason=reason, is_final=True)
    return _judged(call, value)


def _judged(call: ActivityCall, value: object) -> ActivityOutcome:
    """The outcome by the result of an activity that has completed.

    The event of the activity says *completed* either way. The memo tells readers of the history, who have no
    code, that the step was rejected. No event is added when the step is done.

    Raises:
        DefinitionError: `rejected_when` returned something else than a code, a boolean or `None`.
    """
    judge = call.spec.rejected_when
    verdict = cast("object", None if judge is None else judge(value))
    if verdict is None or verdict is False:
        return ActivityOutcome(Outcome.DONE, value)
    code = "rejected" if verdict is True else verdict
    if not isinstance(code, str) or not code:
        raise DefinitionError(
            f"`rejected_when` of {call.activity_id!r} must return a code, a boolean or None, not "
            f"{type(verdict).__name__}"
        )
    workflow.upsert_memo({REJECTED_MEMO: {call.activity_id: code}})
    reason = f"the result of {call.activity_id} means {code!r}"
    return ActivityOutcome(Outcome.REJECTED, code=code, reason=reason, is_final=True)


async def _execute(
    call: ActivityCall, encoded: list[RawValue], attempts: int, worker_timeout: timedelta | None
) -> RawValue | None:
    """Runs an activity within the limits of the run; None if a cancel came before the activity was sent."""
    context = current_context()
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(context.concurrency.slot())
            await context.task_size.make_room(sum(len(each.payload.data) for each in encoded))
        except asyncio.CancelledError:
            return None
        return await _result_of(_start(call, encoded, attempts, worker_timeout))


def _start(
    call: ActivityCall, encoded: list[RawValue], attempts: int, worker_timeout: timedelta | None
) -> workflow.ActivityHandle[RawValue]:
    policy = call.spec.policy
    with scheduling_with(call.header):
        return workflow.start_activity(
            call.spec.activity,
            args=encoded,
            # Raw: a result of another type must become an unknown outcome, not a failed workflow.
            result_type=RawValue,
            task_queue=call.spec.task_queue,
            start_to_close_timeout=policy.start_to_close_timeout,
            schedule_to_close_timeout=policy.schedule_to_close_timeout
            or (policy.longest_round(attempts, worker_timeout) if worker_timeout else None),
            schedule_to_start_timeout=worker_timeout,
            heartbeat_timeout=policy.heartbeat_timeout,
            retry_policy=RetryPolicy(
                initial_interval=policy.initial_interval,
                backoff_coefficient=policy.backoff_coefficient,
                maximum_interval=policy.maximum_interval,
                maximum_attempts=attempts,
                non_retryable_error_types=_final_error_types(call.spec),
            ),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            activity_id=call.activity_id,
            summary=call.summary,
            priority=Priority(
                priority_key=policy.priority_key,
                fairness_key=policy.fairness_key,
                fairness_weight=policy.fairness_weight,
            ),
        )


def _final_error_types(spec: ActivitySpec) -> list[str]:
    """The error types that end the attempts: the types of the policy, and the rejections."""
    types = spec.policy.non_retryable_error_types
    return [*types, *sorted(spec.rejections.difference(types))]


async def _result_of(activity: workflow.ActivityHandle[RawValue]) -> RawValue:
    """Returns the result of an activity, also where Temporal drops the result because of a cancel.

    A rejected action is not compensated, and a compensation receives the result of the action.
    """
    try:
        return await activity
    except asyncio.CancelledError:
        answered: asyncio.Future[RawValue] | None = getattr(activity, "_result_fut", None)
        if answered is None or not answered.done():
            raise
        return answered.result()
