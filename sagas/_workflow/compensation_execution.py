"""Compensation of a saga: pending compensations, steps after compensation, and the final error."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

from temporalio import workflow
from temporalio.converter import PayloadConverter
from temporalio.exceptions import is_cancelled_exception

from .._core.compensation import PendingCompensation, StepAfterCompensation
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._declarations.activity_spec import ActivitySpec
from .._declarations.step import Action, Step
from .._errors import FailureKind, RejectedError
from .._execution.activity_call import ActivityCall, run_attempts, snapshot
from .._execution.retry_loop import RetryLoop, words
from .._run.forward_check import FIRST_CAUSE
from .._run.open_children import OpenChildren
from .._run.scope import Scope
from .._temporal.message_content import is_same_content
from .._wire.activity_header import effect_of, plain_header
from .._wire.failures import compensated, trimmed_cause

LONGEST_WAIT_FOR_WORKER = timedelta(hours=1)
"""The longest wait of a step after compensation for a worker; then the saga ends without the step."""


class CompensationExecution:
    """Compensates a saga once, even if the workflow is cancelled meanwhile.

    Args:
        scope: The saga.
        retry_loop: Runs the compensations until all succeed.
        open_children: The children that handlers may have open.
        after_compensation: The steps after compensation from an earlier run of the saga.
    """

    def __init__(
        self,
        scope: Scope,
        retry_loop: RetryLoop,
        open_children: OpenChildren,
        after_compensation: Sequence[StepAfterCompensation],
    ) -> None:
        self._scope, self._retry_loop, self._open_children = scope, retry_loop, open_children
        self.after_compensation = list(after_compensation)
        """The steps to run after all compensations."""
        self._of_earlier_run = list(after_compensation)

    def add_after_compensation(self, step: Step[Any, Any] | Action[Any, Any], message: object) -> None:
        """Adds a step to run after all compensations."""
        spec = step.call
        added = StepAfterCompensation(
            address=step.name,
            activity=spec.activity,
            arguments=(snapshot(message),),
            task_queue=spec.task_queue,
            policy=spec.policy,
            effect=effect_of(step),
        )
        # A run that continues an earlier run executes the same lines of code again.
        converter = workflow.payload_converter()
        known = (each for each in self._of_earlier_run if is_same_step(each, added, converter))
        if (same := next(known, None)) is not None:
            self._of_earlier_run.remove(same)
        else:
            self.after_compensation.append(added)

    async def run(self) -> None:
        """Runs all compensations, and then the steps after compensation."""
        scope, ledger = self._scope, self._scope.ledger
        # A handler may wait for a child: Temporal cancels the main task only.
        self._open_children.cancel_all()
        if scope.under_way or ledger.pending() or ledger.unresolved_children():
            scope.publish()
            # A step in another task of the workflow may be under way: a compensation never overtakes the
            # action.
            await workflow.wait_condition(lambda: not scope.under_way)
            await self._retry_loop.compensate_with_children()
        if self.after_compensation:
            scope.lifecycle.end_stuck_compensation()
            scope.publish()
        for step in self.after_compensation:
            await self._run_after_compensation(step)
        scope.lifecycle.end_compensation()
        scope.publish()

    def raise_final(self, error: Exception | asyncio.CancelledError, *, was_cancelled: bool) -> NoReturn:
        """Ends the workflow with the error that started the compensation.

        Args:
            error: The error that left the block of the saga.
            was_cancelled: Whether the workflow was cancelled before the compensation began.
        """
        lifecycle = self._scope.lifecycle
        resolutions, cause = lifecycle.resolutions, lifecycle.compensation_cause
        was_requested_first = self._scope.was_requested_first and isinstance(error, asyncio.CancelledError)
        if was_requested_first and was_cancelled:
            was_requested_first = workflow.patched(FIRST_CAUSE)
        if was_cancelled and is_cancelled_exception(error) and not was_requested_first:
            if resolutions:
                # A workflow that closes as cancelled cannot report the manual resolutions.
                cancelled = RejectedError("cancelled", f"{workflow.info().workflow_id} was cancelled")
                cancelled.kind = FailureKind.CANCELLED
                raise compensated(cancelled, resolutions) from trimmed_cause(error)
            raise error
        if isinstance(error, asyncio.CancelledError) and cause is not None:
            raise compensated(cause, resolutions) from trimmed_cause(cause)
        raise compensated(error, resolutions) from trimmed_cause(error)

    async def _run_after_compensation(self, step: StepAfterCompensation) -> None:
        address = self._scope.ledger.next_address(step.address)
        call = ActivityCall(
            spec=ActivitySpec(
                activity=step.activity, result=None, policy=step.policy, task_queue=step.task_queue
            ),
            arguments=step.arguments,
            activity_id=address,
            summary=words(step.address),
            header=plain_header(Purpose.AFTER_COMPENSATION, effect=step.effect),
        )
        outcome = await run_attempts(call, worker_timeout=LONGEST_WAIT_FOR_WORKER)
        if outcome.outcome is not Outcome.DONE:
            workflow.logger.warning("after compensation: %s: %s", address, outcome.reason)


def is_same_step(one: PendingCompensation, other: PendingCompensation, converter: PayloadConverter) -> bool:
    """Whether a step of an earlier run, with arguments as plain data, is the same as a step of this run."""
    if (one.address, one.activity, one.task_queue) != (other.address, other.activity, other.task_queue):
        return False
    try:
        stored, added = converter.to_payloads(one.arguments), converter.to_payloads(other.arguments)
    except Exception:  # noqa: BLE001 - arguments that cannot be sent were not carried over either
        return False
    types = [type(argument) for argument in other.arguments]
    return len(stored) == len(added) and all(
        is_same_content(before, now, partial(converter.from_payload, type_hint=kind))
        for before, now, kind in zip(stored, added, types, strict=True)
    )
