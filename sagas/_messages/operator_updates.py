"""Operators' verbs as updates of a saga's workflow: refused with a sentence, or executed and audited."""

from collections.abc import Callable
from json import dumps
from typing import Any

from pydantic import TypeAdapter, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from .._core.activity_outcome import ActivityOutcome
from .._core.lifecycle import Phase, StuckStep
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.status import ENDED, Status
from .._errors import CompensationRequestedError
from .._execution.retry_loop import RetryLoop
from .._run.context import RunContext
from .._run.forward_check import is_compensation_requested
from .._run.scope import Scope
from .._validation import invalid_fields
from .._wire.failures import SAGA_REFUSED
from .._wire.operator_requests import (
    APPROVE,
    COMPENSATE,
    COMPENSATION_REQUESTED,
    COMPLETE,
    HOLD,
    RESUME,
    RETRY,
    SKIP,
    ApproveRequest,
    AuditEntry,
    CompleteRequest,
    OperatorRequest,
    SkipRequest,
)
from .approvals import Approvals, refusal_of_unawaited
from .handler_signature import declare_message

SKIPPED = "skipped"
"""The code of a pivot that did not happen according to an operator."""


class OperatorUpdates:
    """The operators' verbs of one saga.

    A verb that does not apply to the current state is refused with a sentence, before the update is written
    into the history. An executed verb is in the history, with the operator, the time and the reason.

    Args:
        context: The workflow run.
        scope: The saga.
        retry_loop: Retries and resolves stuck steps.
        approvals: Receives decisions; None for a saga without approvals.
    """

    def __init__(
        self, context: RunContext, scope: Scope, retry_loop: RetryLoop, approvals: Approvals | None = None
    ) -> None:
        self._context, self._scope = context, scope
        self._retry_loop, self._approvals = retry_loop, approvals

    def open(self) -> None:
        """Takes verbs from now on."""
        self._set_update(HOLD, OperatorRequest, self._refusal_of_hold, lambda _: self._hold())
        self._set_update(RESUME, OperatorRequest, self._refusal_of_resume, lambda _: self._resume())
        self._set_update(RETRY, OperatorRequest, self._refusal_of_retry, lambda _: self._retry_loop.retry())
        self._set_update(COMPENSATE, OperatorRequest, self._refusal_of_compensate, self._compensate)
        self._set_update(SKIP, SkipRequest, self._refusal_of_skip, self._skip)
        self._set_update(COMPLETE, CompleteRequest, self._refusal_of_complete, self._complete)
        self._set_update(APPROVE, ApproveRequest, self._refusal_of_approve, self._approve)
        if self._context.is_child:
            self._set_signal(HOLD, self._refusal_of_parents_hold, self._hold)
            self._set_signal(RESUME, self._refusal_of_resume, self._resume)

    def _set_update(
        self,
        verb: str,
        request: type[OperatorRequest],
        refusal_of: Callable[[Any], str | None],
        carry_out: Callable[[Any], None],
    ) -> None:
        def validate(note: Any = None) -> None:
            refusal: str | None
            if not isinstance(note, request):
                # Temporal decodes null without regard to the type.
                refusal = "by= must name the operator, and because= the reason"
            elif (status := self._scope.lifecycle.status) in ENDED:
                refusal = f"the saga is {status}: it has ended"
            else:
                authorize = self._context.authorize
                refusal = refusal_of(note) or (authorize and authorize(verb, note))
            if refusal:
                raise ApplicationError(refusal, type=SAGA_REFUSED)

        async def handle(note: Any) -> str:
            self._audit(verb, note)
            carry_out(note)
            status = self._status_after(verb)
            if verb in (HOLD, RESUME):
                await self._context.open_children.pass_on(verb, note)
            return status

        # Without a declared signature, Temporal would inspect each of the seven handlers in each run.
        declare_message(handle, request)
        # Temporal types handlers loosely.
        workflow.set_update_handler(  # pyright: ignore[reportUnknownMemberType]
            verb, handle, validator=validate
        )

    def _set_signal(
        self, verb: str, refusal_of: Callable[[OperatorRequest], str | None], carry_out: Callable[[], None]
    ) -> None:
        """Executes a verb of the parent; a verb that does not apply to the current state is ignored."""

        async def handle(*content: Any) -> None:
            note = content[0] if len(content) == 1 else None
            has_ended = self._scope.lifecycle.status in ENDED
            if not isinstance(note, OperatorRequest) or has_ended or refusal_of(note):
                return
            self._audit(verb, note)
            carry_out()
            await self._context.open_children.pass_on(verb, note)

        declare_message(handle, OperatorRequest)
        # Temporal types handlers loosely.
        workflow.set_signal_handler(verb, handle)  # pyright: ignore[reportUnknownMemberType]

    def _status_after(self, verb: str) -> str:
        """The status that follows at once from an executed verb; the code of the saga runs afterwards."""
        lifecycle, is_compensating = self._scope.lifecycle, self._scope.lifecycle.phase is Phase.COMPENSATING
        if verb == COMPENSATE:
            is_free = lifecycle.phase is Phase.FORWARD and not self._scope.under_way
            return Status.COMPENSATING.value if is_free else COMPENSATION_REQUESTED
        if verb in (SKIP, COMPLETE) and lifecycle.stuck_steps.keys() <= lifecycle.resolved_outcomes.keys():
            pending = (
                {each.address for each in self._scope.ledger.pending()} if is_compensating else set[str]()
            )
            if not pending - lifecycle.resolved_outcomes.keys():
                going_forward = Status.HELD if lifecycle.is_held else Status.RUNNING
                return (Status.COMPENSATING if is_compensating else going_forward).value
        return lifecycle.status.value

    def _audit(self, verb: str, note: OperatorRequest) -> None:
        self._scope.audit_trail.append(AuditEntry.from_request(verb, dict(note), workflow.now()))

    def _refusal_of_hold(self, _: OperatorRequest) -> str | None:
        if is_compensation_requested(self._scope):
            return "the saga is about to compensate: that cannot be held"
        if (status := self._scope.lifecycle.status) is not Status.RUNNING:
            return f"the saga is {status}: only one that is running can be held"
        return None

    def _refusal_of_parents_hold(self, note: OperatorRequest) -> str | None:
        """Like `_refusal_of_hold`, except that a stuck child is held, and stops after the stuck step."""
        lifecycle = self._scope.lifecycle
        is_going_forward = lifecycle.phase is not Phase.COMPENSATING
        if lifecycle.status is Status.STUCK and not lifecycle.is_held and is_going_forward:
            return None
        return self._refusal_of_hold(note)

    def _hold(self) -> None:
        self._scope.lifecycle.hold()
        if self._scope.lifecycle.status is Status.HELD:
            self._scope.publish()

    def _refusal_of_resume(self, _: OperatorRequest) -> str | None:
        if not self._scope.lifecycle.is_held:
            return "the saga is not held: there is nothing to resume"
        return None

    def _resume(self) -> None:
        was_held = self._scope.lifecycle.status is Status.HELD
        self._scope.lifecycle.resume()
        if was_held:
            self._scope.publish()

    def _refusal_of_retry(self, _: OperatorRequest) -> str | None:
        if self._scope.lifecycle.stuck_steps:
            return None
        if self._scope.lifecycle.status is Status.STUCK:
            return f"there is nothing to retry: {self._scope.publisher.note}"
        return f"the saga is {self._scope.lifecycle.status}, not stuck: there is nothing to retry"

    def _refusal_of_compensate(self, _: OperatorRequest) -> str | None:
        lifecycle = self._scope.lifecycle
        if lifecycle.is_past_pivot:
            return "the saga is past its pivot: it only goes forward"
        if lifecycle.phase is Phase.COMPENSATING or is_compensation_requested(self._scope):
            return "the saga is compensating already"
        for address, step in lifecycle.stuck_steps.items():
            if step.purpose is Purpose.PIVOT:
                return (
                    f"the outcome of its pivot {address!r} is unknown: "
                    "complete it if it has, skip it if it has not"
                )
        return None

    def _compensate(self, note: OperatorRequest) -> None:
        # A held saga stays held until the compensation starts: after the pivot of the saga or of the child,
        # the request has no effect.
        self._scope.request_compensation(CompensationRequestedError(note.by, note.because))

    def _refusal_of_skip(self, request: SkipRequest) -> str | None:
        stuck = self._scope.lifecycle.stuck_steps.get(request.step)
        if stuck is None:
            return self._refusal_of_unstuck(request.step)
        if stuck.purpose is Purpose.CONFIRMATION:
            return (
                f"{request.step!r} is a confirmation and cannot be skipped: confirm the step manually, then "
                "complete the confirmation"
            )
        if stuck.purpose is Purpose.RETRIABLE:
            return (
                f"{request.step!r} comes after the pivot and cannot be skipped: execute the action manually, "
                "then complete the step"
            )
        return self._scope.lifecycle.refusal_of_resolution(request.step)

    def _skip(self, request: SkipRequest) -> None:
        reason = f"{request.by}: {request.because}"
        outcome = ActivityOutcome(Outcome.REJECTED, code=SKIPPED, reason=reason)
        self._retry_loop.resolve(request.step, "skipped", outcome)

    def _refusal_of_complete(self, request: CompleteRequest) -> str | None:
        stuck = self._scope.lifecycle.stuck_steps.get(request.step)
        if stuck is None:
            return self._refusal_of_unstuck(request.step)
        try:
            _read_result(stuck, request)
        except ValidationError as error:
            if request.result is None:
                return f"{request.step!r} has a result: give it (--result)"
            return f"the result of {request.step!r} does not fit: {invalid_fields(error)[0]}"
        return self._scope.lifecycle.refusal_of_resolution(request.step)

    def _complete(self, request: CompleteRequest) -> None:
        result = _read_result(self._scope.lifecycle.stuck_steps[request.step], request)
        outcome = ActivityOutcome(Outcome.DONE, result)
        self._retry_loop.resolve(request.step, "completed-manually", outcome)

    def _refusal_of_approve(self, request: ApproveRequest) -> str | None:
        if self._approvals is None:
            return refusal_of_unawaited(request, {})
        return self._approvals.refusal(request)

    def _approve(self, request: ApproveRequest) -> None:
        if self._approvals is not None:
            self._approvals.decide(request)

    def _refusal_of_unstuck(self, step: str) -> str:
        stuck = ", ".join(map(repr, self._scope.lifecycle.stuck_steps))
        return f"{step!r} is not stuck: {f'stuck is {stuck}' if stuck else 'nothing is'}"


def _read_result(stuck: StuckStep, request: CompleteRequest) -> object:
    if stuck.purpose in (Purpose.COMPENSATION, Purpose.CONFIRMATION) or stuck.result_type is None:
        return None
    return TypeAdapter(stuck.result_type).validate_json(dumps(request.result))
