"""Where operators' verbs arrive: refused if they make no sense, else carried out and written down."""

from collections.abc import Callable
from json import dumps
from typing import Any

from pydantic import TypeAdapter, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from .._core.activity_outcome import ActivityOutcome
from .._core.ledger import Ledger
from .._core.lifecycle import Phase
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.status import ENDED, Status
from .._errors import CompensationRequestedError
from .._execution.retry_loop import RetryLoop, StuckStep
from .._run.context import RunContext
from .._run.forward_check import ForwardCheck
from .._run.status_publisher import StatusPublisher
from .._wire.failures import SAGA_REFUSED
from .._wire.operator_requests import (
    APPROVE,
    COMPENSATE,
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
from .external_events import ExternalEvents
from .handler_signature import takes

SKIPPED = "skipped"
"""The code of a pivot of which an operator says that it did not happen."""


class OperatorUpdates:
    """The operator's verbs of one saga, as updates of its workflow.

    A verb is refused by a sentence, before it is written into history; one that is carried out stands there
    with who has asked for it, when, and why.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        board: StatusPublisher,
        course: ForwardCheck,
        insistence: RetryLoop,
        mailbox: ExternalEvents,
        run: RunContext,
    ) -> None:
        self._ledger, self._board, self._course = ledger, board, course
        self._insistence, self._mailbox, self._run = insistence, mailbox, run

    def open(self) -> None:
        """Takes verbs from now on."""
        self._take(HOLD, OperatorRequest, self._refuse_hold, lambda _: self._course.hold())
        self._take(RESUME, OperatorRequest, self._refuse_resume, lambda _: self._course.resume())
        self._take(RETRY, OperatorRequest, self._refuse_retry, lambda _: self._insistence.retry())
        self._take(COMPENSATE, OperatorRequest, self._refuse_compensate, self._compensate)
        self._take(SKIP, SkipRequest, self._refuse_skip, self._skip)
        self._take(COMPLETE, CompleteRequest, self._refuse_complete, self._complete)
        self._take(APPROVE, ApproveRequest, self._mailbox.refuse_decision, self._mailbox.decide)
        if self._run.is_child:
            self._follow(HOLD, self._refuse_to_follow, self._course.hold)
            self._follow(RESUME, self._refuse_resume, self._course.resume)

    def _take(
        self,
        verb: str,
        request: type[OperatorRequest],
        refuse: Callable[[Any], str | None],
        carry_out: Callable[[Any], None],
    ) -> None:
        def check(note: Any = None) -> None:
            refusal: str | None
            if not isinstance(note, request):
                # Null is read without regard to the type.
                refusal = "nobody is named who asks for it, and no reason"
            elif self._board.status in ENDED:
                refusal = f"the saga is {self._board.status}: it has ended"
            else:
                authorize = self._run.authorize
                refusal = refuse(note) or (authorize and authorize(verb, note))
            if refusal:
                raise ApplicationError(refusal, type=SAGA_REFUSED)

        async def handle(note: Any) -> str:
            self._write_down(verb, note)
            carry_out(note)
            status = self._board.status.value
            if verb in (HOLD, RESUME):
                await self._run.family.tell(verb, note)
            return status

        # Temporal finds out the signature of each of the seven in each run, where it is not given.
        takes(handle, request)
        # Temporal types handlers loosely.
        workflow.set_update_handler(  # pyright: ignore[reportUnknownMemberType]
            verb, handle, validator=check
        )

    def _follow(
        self, verb: str, refuse: Callable[[OperatorRequest], str | None], carry_out: Callable[[], None]
    ) -> None:
        """Does as the parent was told to; what makes no sense here is passed over."""

        async def handle(*content: Any) -> None:
            note = content[0] if len(content) == 1 else None
            if not isinstance(note, OperatorRequest) or self._board.status in ENDED or refuse(note):
                return
            self._write_down(verb, note)
            carry_out()
            await self._run.family.tell(verb, note)

        takes(handle, OperatorRequest)
        # Temporal types handlers loosely.
        workflow.set_signal_handler(verb, handle)  # pyright: ignore[reportUnknownMemberType]

    def _write_down(self, verb: str, note: OperatorRequest) -> None:
        self._board.audit.append(AuditEntry.from_request(verb, dict(note), workflow.now()))

    def _refuse_hold(self, _: OperatorRequest) -> str | None:
        if self._course.is_turning:
            return "the saga is about to compensate: that cannot be held"
        if self._board.status is not Status.RUNNING:
            return f"the saga is {self._board.status}: only one that is running can be held"
        return None

    def _refuse_to_follow(self, note: OperatorRequest) -> str | None:
        """As `_refuse_hold`; but one that is stuck is held once it is through, as its parent is now."""
        is_going_back = self._ledger.phase is Phase.COMPENSATING
        if self._board.status is Status.STUCK and not self._board.is_held and not is_going_back:
            return None
        return self._refuse_hold(note)

    def _refuse_resume(self, _: OperatorRequest) -> str | None:
        if not self._board.is_held:
            return "the saga is not held: there is nothing to resume"
        return None

    def _refuse_retry(self, _: OperatorRequest) -> str | None:
        if self._insistence.stuck_steps:
            return None
        if self._board.status is Status.STUCK:
            return f"there is nothing to retry: {self._board.note}"
        return f"the saga is {self._board.status}, not stuck: there is nothing to retry"

    def _refuse_compensate(self, _: OperatorRequest) -> str | None:
        if self._ledger.phase is Phase.PAST_PIVOT:
            return "the saga is past its pivot: it only goes forward"
        if self._ledger.phase is Phase.COMPENSATING or self._course.is_turning:
            return "the saga is compensating already"
        for address, trouble in self._insistence.stuck_steps.items():
            if trouble.purpose is Purpose.PIVOT:
                return (
                    f"nobody knows whether its pivot {address!r} has happened: "
                    "complete it if it has, skip it if it has not"
                )
        return None

    def _compensate(self, note: OperatorRequest) -> None:
        # It stays held until it has turned round: past its pivot, or that of its child, it does not.
        self._course.turn(CompensationRequestedError(note.by, note.because))

    def _refuse_skip(self, request: SkipRequest) -> str | None:
        trouble = self._insistence.stuck_steps.get(request.step)
        if trouble is None:
            return self._not_in_trouble(request.step)
        if trouble.purpose is Purpose.RETRIABLE:
            return (
                f"{request.step!r} comes after the pivot and cannot be skipped: do it by hand and complete it"
            )
        return self._insistence.reason_not_to_resolve(request.step)

    def _skip(self, request: SkipRequest) -> None:
        verdict = ActivityOutcome(Outcome.REJECTED, code=SKIPPED, reason=f"{request.by}: {request.because}")
        self._insistence.settle(request.step, "skipped", verdict)

    def _refuse_complete(self, request: CompleteRequest) -> str | None:
        trouble = self._insistence.stuck_steps.get(request.step)
        if trouble is None:
            return self._not_in_trouble(request.step)
        try:
            _result_of(trouble, request)
        except ValidationError as error:
            if request.result is None:
                return f"{request.step!r} has a result: give it (--result)"
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            return (
                f"the result of {request.step!r} does not fit: {where + ': ' if where else ''}{first['msg']}"
            )
        return self._insistence.reason_not_to_resolve(request.step)

    def _complete(self, request: CompleteRequest) -> None:
        result = _result_of(self._insistence.stuck_steps[request.step], request)
        self._insistence.settle(request.step, "completed by hand", ActivityOutcome(Outcome.DONE, result))

    def _not_in_trouble(self, step: str) -> str:
        stuck = ", ".join(map(repr, self._insistence.stuck_steps))
        return f"{step!r} is not stuck: {f'stuck is {stuck}' if stuck else 'nothing is'}"


def _result_of(trouble: StuckStep, request: CompleteRequest) -> object:
    if trouble.purpose is Purpose.COMPENSATION or trouble.result is None:
        return None
    return TypeAdapter(trouble.result).validate_json(dumps(request.result))
