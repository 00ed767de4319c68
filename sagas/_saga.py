"""The scope in which a workflow's steps are one saga: all of them, or none."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError, is_cancelled_exception

from ._attempt import attempt
from ._children import Lost, run_child
from ._errors import DefinitionError, RejectedError, UnknownOutcomeError
from ._insist import Insistence, words
from ._ledger import Compensation, Ledger, Outcome, Phase, Scope
from ._mark import Purpose, mark_of
from ._operation import NAME
from ._run import current
from ._status import Board, Status
from ._steps import Action, MethodAction, Step
from ._verbs import RETRY, OperatorNote
from ._verdict import SAGA_REFUSED, Verdict, compensated

I = TypeVar("I")  # noqa: E741 - what goes in, as in a step
O = TypeVar("O")  # noqa: E741 - what comes out


class Saga:
    """Steps that belong together: when one fails, what was started is made up for, newest first.

    Use it as an async context manager in the run method of any workflow whose client has `SagaPlugin`::

        async with Saga() as saga:
            await saga.step(reserve, order)
            await saga.pivot(ship, order)

    - An error or a cancel that leaves the block compensates every step that is done or unknown; the
      workflow then fails with an `ApplicationError` of type `SagaCompensated`, or closes as cancelled.
    - A cancel never stops a compensation, and changes nothing after the pivot.
    - A compensation that does not succeed makes the saga *stuck*: it says so, and goes on trying.

    Args:
        scope: Which steps are compensated: *in doubt* (those done or unknown), or *attempted* (those
            rejected as well).
    """

    def __init__(self, *, scope: Scope = Scope.IN_DOUBT) -> None:
        self._run = current()
        self._ledger = Ledger(scope)
        self._board = Board(self._ledger, search_attributes=self._run.search_attributes)
        self._insistence = Insistence(self._board)
        self._busy: set[str] = set()
        self._afterwards: list[tuple[Step[Any, Any], object]] = []

    async def __aenter__(self) -> Self:
        info = workflow.info()
        if info.execution_timeout or info.run_timeout:
            raise ApplicationError(
                "an execution or run timeout ends a saga without its compensations: start it without one",
                type=SAGA_REFUSED,
                non_retryable=True,
            )
        # Temporal types handlers loosely.
        workflow.set_update_handler(  # pyright: ignore[reportUnknownMemberType]
            RETRY, self._retry, validator=self._refuse_retry
        )
        if self._run.has_saga:
            raise DefinitionError("a workflow run is one saga: a second one would have the keys of the first")
        self._run.has_saga = True
        self._run.details = self._board.details
        return self

    async def step(self, step: Step[I, O], message: I, /) -> O:
        """Does a step, and returns the result of its action.

        After the pivot the action is tried until it is done.

        Raises:
            RejectedError: The participant refused; the action has no effect.
            UnknownOutcomeError: All attempts are spent, and it may have happened all the same.
        """
        self._checkpoint()
        result: O = await self._do(step, message)
        self._checkpoint()
        return result

    async def best_effort(self, step: Step[I, O], message: I, /) -> O | None:
        """Does a step whose failure does not fail the saga; returns `None` when it failed."""
        self._checkpoint()
        result: O | None
        try:
            result = await self._do(step, message, is_retriable=False)
        except (RejectedError, UnknownOutcomeError) as error:
            workflow.logger.warning("best effort: %s", error)
            result = None
        self._checkpoint()
        return result

    async def pivot(self, action: Action[I, O] | MethodAction[Any, I, O], message: I, /) -> O:
        """Passes the point of no return: once the action is done, the saga only goes forward.

        A cancel withdraws the action as long as it has not begun. Once it may have begun, it is tried until
        there is a verdict; a saga that waits longer than the policy's attempts says that it is stuck.

        Raises:
            RejectedError: The participant refused: everything before the pivot is compensated.
        """
        self._checkpoint()
        if self._run.is_child:
            raise DefinitionError("a child saga stays compensatable until its root closes: it has no pivot")
        if self._ledger.phase is not Phase.FORWARD:
            raise DefinitionError(f"{action.name!r} is a second pivot; a saga has one")
        address = self._ledger.address_of(action.name)
        self._ledger.start(address)
        verdict = await self._verdict_on_pivot(action, address, message)
        result: O = self._settle(address, verdict)
        self._ledger.pass_pivot()
        self._board.show(Status.RUNNING)
        return result

    async def child(
        self,
        run: Callable[[Any, I], Awaitable[O]],
        message: I,
        /,
        *,
        name: str,
        task_queue: str | None = None,
    ) -> O:
        """Runs another saga as a child; it stays compensatable until this saga's root closes.

        Args:
            run: The run method of the child's workflow class.
            message: What the child gets.
            name: Names the child within this saga, in lower case with dashes; its workflow id is this one's,
                `/`, and the name.
            task_queue: Where the child's workers listen; by default where this saga's do.

        Raises:
            RejectedError: The child failed, and has made up for everything it had done.
        """
        self._checkpoint()
        if self._ledger.phase is not Phase.FORWARD:
            raise DefinitionError(f"child {name!r} comes after the pivot, where nothing may fail")
        if not NAME.fullmatch(name):
            raise DefinitionError(f"the name of child {name!r} must be words in lower case joined by dashes")
        address = self._ledger.address_of(name)
        self._ledger.start(address, is_child=True)
        try:
            with self._under_way(address):
                closed = await run_child(run, message, name=address, task_queue=task_queue)
        except RejectedError:
            self._ledger.failed(address, Outcome.REJECTED)
            self._checkpoint()
            raise
        except Lost:
            self._ledger.failed(address, Outcome.UNKNOWN)
            raise
        self._ledger.closed(address, closed.owed)
        self._checkpoint()
        return closed.result

    def after_compensation(self, step: Step[I, O], message: I, /) -> None:
        """Does a step once everything is made up for: telling the customer, for one.

        Only the root of a family of sagas does it. Its failure is recorded and changes nothing.
        """
        if not self._run.is_child:
            self._afterwards.append((step, message))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            try:
                self._checkpoint()
            except asyncio.CancelledError as cancelled:
                error = cancelled
        if error is None:
            self._complete()
            return
        # An eviction or continue-as-new is neither: nothing of ours may run on it.
        if not isinstance(error, (Exception, asyncio.CancelledError)):
            return
        if self._ledger.phase is Phase.PAST_PIVOT:
            self._refuse_to_fail(error)
        await self._compensate()
        self._leave(error)

    def _complete(self) -> None:
        self._run.owed = self._ledger.plan()
        # A child must tell its parent what it owes, so nothing may stop it from returning.
        self._run.guard.is_deaf = self._run.is_child
        self._board.show(Status.COMPLETED)

    async def _compensate(self) -> None:
        self._run.guard.is_deaf = True
        self._ledger.begin_compensation()
        if self._busy or self._ledger.owed() or self._ledger.lost():
            self._board.show(Status.COMPENSATING)
            # A step in a task of its own may be under way: a compensation must not overtake its action.
            await workflow.wait_condition(lambda: not self._busy)
            await self._insistence.make_up(self._ledger)
        if lost := self._ledger.lost():
            self._board.show(
                Status.STUCK, f"nobody knows what {', '.join(lost)} owes: rescue it from its history"
            )
            await workflow.wait_condition(lambda: False)
        self._board.show(Status.COMPENSATED)
        for step, message in self._afterwards:
            address = self._ledger.address_of(step.name)
            verdict = await attempt(
                step.call,
                [message],
                activity_id=address,
                summary=words(step.name),
                mark=self._mark(step, Purpose.AFTERWARDS),
            )
            if verdict.outcome is not Outcome.DONE:
                workflow.logger.warning("after compensation: %s: %s", address, verdict.reason)
        self._run.guard.is_deaf = False

    def _leave(self, error: Exception | asyncio.CancelledError) -> NoReturn:
        if workflow.cancellation_reason() is not None and is_cancelled_exception(error):
            raise error
        raise compensated(error) from error

    def _refuse_to_fail(self, error: BaseException) -> NoReturn:
        """An error after the pivot is a bug in the workflow: its task fails until the code is mended."""
        raise DefinitionError(
            f"{type(error).__name__} was raised after the pivot, where a saga only goes forward: {error}"
        ) from error

    async def _retry(self, note: OperatorNote) -> str:
        workflow.logger.info("retried by %s: %s", note.by, note.because)
        self._insistence.retry()
        return self._board.status.value

    def _refuse_retry(self, _: OperatorNote) -> None:
        if self._board.status is not Status.STUCK:
            raise ApplicationError(
                f"the saga is {self._board.status}, not stuck: there is nothing to retry", type=SAGA_REFUSED
            )

    def _checkpoint(self) -> None:
        """Turns round when the workflow was cancelled, however quietly: a cancel is never told twice."""
        if self._ledger.phase is Phase.FORWARD and (reason := workflow.cancellation_reason()) is not None:
            raise asyncio.CancelledError(reason or "cancelled")

    def _settle(self, address: str, verdict: Verdict) -> Any:
        if verdict.outcome is Outcome.DONE:
            self._ledger.done(address, verdict.value)
            return verdict.value
        self._ledger.failed(address, verdict.outcome)
        self._checkpoint()
        if verdict.outcome is Outcome.REJECTED:
            raise RejectedError(verdict.code, verdict.reason, verdict.field)
        raise UnknownOutcomeError(address, verdict.reason)

    async def _do(self, step: Step[I, O], message: I, *, is_retriable: bool = True) -> Any:
        address = self._ledger.address_of(step.name)
        self._ledger.start(address, _owed_for(step, address, message))
        is_retried = is_retriable and self._ledger.phase is Phase.PAST_PIVOT
        purpose = Purpose.RETRIABLE if is_retried else Purpose.STEP if is_retriable else Purpose.BEST_EFFORT
        tries = self._insistence.until_done if is_retried else attempt
        with self._under_way(address):
            verdict = await tries(
                step.call,
                [message],
                activity_id=address,
                summary=words(step.name),
                mark=self._mark(step, purpose),
            )
        return self._settle(address, verdict)

    def _mark(
        self, what: Step[Any, Any] | Action[Any, Any] | MethodAction[Any, Any, Any], purpose: Purpose
    ) -> Payload:
        return mark_of(what, purpose, self._ledger.scope, self._ledger.order)

    @contextmanager
    def _under_way(self, address: str) -> Generator[None]:
        self._busy.add(address)
        try:
            yield
        finally:
            self._busy.discard(address)

    async def _verdict_on_pivot(
        self, action: Action[I, O] | MethodAction[Any, I, O], address: str, message: I
    ) -> Verdict:
        """Tries the pivot one attempt at a time, so that it is known whether any has begun."""
        tried = 0
        while True:
            try:
                verdict = await attempt(
                    action.call,
                    [message],
                    activity_id=address,
                    summary=words(action.name),
                    attempts=1,
                    mark=self._mark(action, Purpose.PIVOT),
                )
            except asyncio.CancelledError:
                # The cancel arrived together with the answer, which is lost: the same key gets it again.
                verdict = Verdict(Outcome.UNKNOWN, reason="cancelled while it was answered")
            if verdict.outcome in (Outcome.DONE, Outcome.REJECTED):
                self._run.guard.is_deaf = verdict.outcome is Outcome.DONE
                return verdict
            if verdict.outcome is Outcome.WITHDRAWN and not self._run.guard.is_deaf:
                return verdict
            self._run.guard.is_deaf = True
            tried += 1
            if tried >= action.call.policy.attempts:
                self._board.show(Status.STUCK, f"{address}: {verdict.reason}")
            await self._insistence.rest(action.call.policy.pause_after(tried))


def _owed_for(step: Step[I, O], address: str, message: I) -> Compensation | None:
    if step.makes_up is None:
        return None
    call = step.makes_up.call
    return Compensation(
        address=address,
        activity=call.activity,
        arguments=(message, None) if step.makes_up.takes_result else (message,),
        takes_result=step.makes_up.takes_result,
        task_queue=call.task_queue,
        policy=call.policy,
    )
