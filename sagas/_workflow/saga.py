"""The scope in which a workflow's steps are one saga: all of them, or none."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, overload

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import CompensationOrder, CompensationScope
from .._core.ledger import Ledger
from .._core.lifecycle import Phase
from .._core.status import Status
from .._declarations.option_checks import check_duration, refusal
from .._declarations.step import Action, Step
from .._errors import DeadlineExceededError, DefinitionError, RejectedError, SagaError, wire_type_of
from .._execution.activity_call import encode
from .._execution.retry_loop import RetryLoop
from .._messages.external_events import ENDED, TURNED, ApprovalDecision, ExpectedEvent, ExternalEvents
from .._messages.operator_updates import OperatorUpdates
from .._run.cancellation_shield import run_uncancelled
from .._run.context import current
from .._run.forward_check import YEAR, ForwardCheck
from .._run.status_publisher import StatusPublisher
from .._wire.continued_state import ContinuedState
from .._wire.failures import SAGA_REFUSED
from .._wire.timer_summaries import DEADLINE
from .compensation_execution import CompensationExecution
from .continue_as_new import continue_as_new
from .forward_execution import ForwardExecution
from .parallel import OnFailure, run_parallel
from .unawaited_calls import UnawaitedCalls, check_action, check_expected, check_step, noted

I = TypeVar("I")  # noqa: E741 - what goes in, as in a step
O = TypeVar("O")  # noqa: E741 - what comes out
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


class Saga:
    """Steps of which a failed saga compensates each step that was started, the newest first.

    An async context manager for the run method of a workflow whose client has `SagaPlugin`::

        async with Saga() as saga:
            await saga.step(reserve, order)
            await saga.pivot(ship, order)

    - An error or a cancel that leaves the block compensates every step with the outcome done or unknown; the
      workflow then fails with an `ApplicationError` of type `SagaCompensated`, or closes as cancelled.
    - A cancel never stops a compensation, and changes nothing after the pivot or after the block.
    - A failing compensation marks the saga as *stuck* and is retried without end. An operator can resolve
      the step manually; the type of the error is then `SagaSettled`.

    Args:
        scope: The steps that are compensated: *in doubt* (done or unknown) or *attempted* (rejected, too).
        order: Compensations run one after the other, the newest first, or all at once.
        timeout: The longest duration of the saga up to the pivot, or up to the end of a saga without a pivot.
            Afterwards the saga compensates with `DeadlineExceededError`.

    Raises:
        DefinitionError: `timeout` is not a timedelta above 0, or the saga is opened outside of `run`.
    """

    def __init__(
        self,
        *,
        scope: CompensationScope = CompensationScope.IN_DOUBT,
        order: CompensationOrder = CompensationOrder.REVERSE,
        timeout: timedelta | None = None,
    ) -> None:
        if timeout is not None:
            check_duration("timeout", timeout)
            if timeout <= timedelta(0):
                raise refusal("timeout", "a timedelta above 0", timeout)
        self._run = run = current()
        carried = run.carried or ContinuedState(ledger=Ledger(scope, order))
        self._ledger = carried.ledger
        self._board = StatusPublisher(
            self._ledger,
            search_attributes=run.search_attributes,
            began_at=carried.began_at,
            shown=carried.shown,
        )
        self._insistence = RetryLoop(self._board, dict(carried.by_hand))
        self._course = ForwardCheck(run.guard, self._ledger, self._board)
        self._mailbox = ExternalEvents(
            dict(carried.unread), dict(carried.given_up), is_turning=lambda: self._course.is_turning
        )
        self._desk = OperatorUpdates(
            ledger=self._ledger,
            board=self._board,
            course=self._course,
            insistence=self._insistence,
            mailbox=self._mailbox,
            run=run,
        )
        self._board.audit += carried.audit
        self._expires_at = carried.expires_at or (workflow.now() + timeout if timeout else None)
        self._asked = UnawaitedCalls()
        self._forward = ForwardExecution(
            run=run,
            ledger=self._ledger,
            course=self._course,
            insistence=self._insistence,
            asked=self._asked,
        )
        self._back = CompensationExecution(
            ledger=self._ledger,
            board=self._board,
            insistence=self._insistence,
            course=self._course,
            family=run.family,
            busy=self._forward.busy,
            errands=carried.afterwards,
        )

    async def __aenter__(self) -> Self:
        info = workflow.info()
        if info.cron_schedule:
            raise ApplicationError(
                "all runs of a cron schedule have the same keys: start each saga with an id of its own",
                type=SAGA_REFUSED,
                non_retryable=True,
            )
        if info.retry_policy:
            raise ApplicationError(
                "a retry of the workflow would begin its saga anew with the keys of the run before: start it "
                "without a retry policy",
                type=SAGA_REFUSED,
                non_retryable=True,
            )
        if info.execution_timeout or info.run_timeout:
            raise ApplicationError(
                "an execution or run timeout ends a saga without its compensations: start it without one",
                type=SAGA_REFUSED,
                non_retryable=True,
            )
        if self._run.has_saga:
            raise DefinitionError("a workflow run is one saga: a second one would have the keys of the first")
        if self._run.failed is not None:
            self._course.turn(self._run.failed)
        self._run.has_saga = self._run.is_open = self._course.is_open = True
        self._forward.set_out()
        self._run.details = lambda: "\n- ".join(
            [self._board.details(), *self._mailbox.waits_for, *self._mailbox.late]
        )
        self._run.fail = self._course.turn
        self._desk.open()
        if self._run.carried is None:
            self._board.metrics.started()
        if self._expires_at is not None:
            self._watch = asyncio.create_task(self._turn_round_in_time(self._expires_at - workflow.now()))
        return self

    @noted
    async def step(self, step: Step[I, O] | Action[I, O], message: I, /) -> O:
        """Executes a step, and returns the result of the action.

        After the pivot, where nothing is compensated, the action is retried until the outcome is done.

        Args:
            step: A step; after the pivot also a bare action.
            message: The message of the action.

        Raises:
            RejectedError: The participant rejected the action, which has no effect.
            UnknownOutcomeError: All attempts failed, and the action may have an effect. A saga that catches
                the error cannot complete: the pivot, or the end of the block, raises the error again.
            DefinitionError: A bare action was given before the pivot.
        """
        check_step(step)
        return await self._forward.step(step, message)

    @noted
    async def best_effort(self, step: Step[I, O] | Action[I, O], message: I, /) -> O | None:
        """Executes a step whose failure does not fail the saga; returns `None` after a failure.

        Args:
            step: A bare action, or a step, which is compensated like any other step.
            message: The message of the action.
        """
        check_step(step)
        return await self._forward.best_effort(step, message)

    @noted
    async def pivot(self, action: Action[I, O], message: I, /) -> O:
        """Passes the point of no return: once the action is done, the saga only goes forward.

        A cancel withdraws an action that was not started. An action that may have been started is retried
        until the outcome is known; after `maximum_attempts` attempts the saga is marked as stuck meanwhile.

        Args:
            action: A bare action; a pivot has no compensation.
            message: The message of the action.

        Raises:
            RejectedError: The participant rejected the action: everything before the pivot is compensated.
            UnknownOutcomeError: The saga caught the unknown outcome of an earlier step.
        """
        check_action(action)
        return await self._forward.pivot(action, message)

    @noted
    async def pivot_child(
        self,
        run: Callable[[Any, I], Awaitable[O]],
        message: I,
        /,
        *,
        name: str,
        task_queue: str | None = None,
    ) -> O:
        """Passes the point of no return with a child saga, which may have a pivot of its own.

        A cancel is passed on to the child. What became of it decides: a child that compensates is a pivot
        that did not happen, and one that completes is a pivot that is done.

        Raises:
            RejectedError: The child failed, and has made up for everything it had done.
            UnknownOutcomeError: Before it, the outcome of a step is unknown, and was passed over.
        """
        return await self._forward.pivot_child(run, message, name=name, task_queue=task_queue)

    @noted
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
            task_queue: Where the child's workers listen, which make up for it as well; by default where this
                saga's do.

        Raises:
            RejectedError: The child failed, and has made up for everything it had done.
        """
        return await self._forward.child(run, message, name=name, task_queue=task_queue)

    @overload
    async def parallel(self, b1: Coroutine[Any, Any, T1], /, *, on_failure: OnFailure = ...) -> tuple[T1]: ...
    @overload
    async def parallel(
        self, b1: Coroutine[Any, Any, T1], b2: Coroutine[Any, Any, T2], /, *, on_failure: OnFailure = ...
    ) -> tuple[T1, T2]: ...
    @overload
    async def parallel(
        self,
        b1: Coroutine[Any, Any, T1],
        b2: Coroutine[Any, Any, T2],
        b3: Coroutine[Any, Any, T3],
        /,
        *,
        on_failure: OnFailure = ...,
    ) -> tuple[T1, T2, T3]: ...
    @overload
    async def parallel(
        self,
        b1: Coroutine[Any, Any, T1],
        b2: Coroutine[Any, Any, T2],
        b3: Coroutine[Any, Any, T3],
        b4: Coroutine[Any, Any, T4],
        /,
        *,
        on_failure: OnFailure = ...,
    ) -> tuple[T1, T2, T3, T4]: ...
    @overload
    async def parallel(
        self, *branches: Coroutine[Any, Any, T], on_failure: OnFailure = ...
    ) -> tuple[T, ...]: ...
    @noted
    async def parallel(
        self, *branches: Coroutine[Any, Any, Any], on_failure: OnFailure = OnFailure.FINISH
    ) -> tuple[Any, ...]:
        """Runs branches at the same time, and returns their results in the order in which they are given.

        A branch is a call that is not awaited: a step, a child, or a coroutine of your own with several of
        them. They begin in their order, so a replay does the same. `asyncio.gather` would, too, but knows
        no failing branch; `asyncio.TaskGroup` cancels in no certain order, which breaks replay.

        Args:
            branches: Coroutines.
            on_failure: Whether the others are cancelled when one fails. Either way they have all ended
                before this returns or raises, and so before any compensation.

        Raises:
            Exception: The first failure.
        """
        return await run_parallel(branches, self._course, on_failure)

    def expect(self, name: str, message: type[T], /) -> ExpectedEvent[T]:
        """Declares an external event, which may arrive before the saga waits for the event.

        The event arrives as a signal or an update with the same name.

        Args:
            name: The name of the event, in lower case with dashes: `payment-cleared`.
            message: The type of the message.

        Raises:
            DefinitionError: The name is malformed, begins with `saga-`, or was declared before.
        """
        return self._mailbox.expect(name, message)

    @noted
    async def wait_for(self, expected: ExpectedEvent[T], /, *, timeout: timedelta = YEAR) -> T:  # noqa: ASYNC109 - a durable timer of the server, unlike `asyncio.timeout`
        """Waits for an external event, and returns the message; several are returned in the order of arrival.

        A signal that arrives after the timeout is kept for the next wait, and reported in the details of the
        saga and in the log; an update is refused, which the sender sees. The same holds after the saga has
        started compensating, and after the end. Events that no wait has taken are reported at the end, and
        messages of another type when they arrive.

        Args:
            expected: The return value of `expect`.
            timeout: The longest wait, a timer of the server; by default a year.

        Raises:
            DeadlineExceededError: No event arrived in time.
            DefinitionError: `timeout` is not a timedelta.
        """
        check_expected(expected)
        check_duration("timeout", timeout)
        await self._course.clear()
        message = await self._mailbox.next(expected, timeout)
        self._course.check()
        return message

    @noted
    async def approval(self, name: str, /, *, role: str, timeout: timedelta = YEAR) -> ApprovalDecision:  # noqa: ASYNC109 - a durable timer of the server, unlike `asyncio.timeout`
        """Waits for the approval of a person: `sagas approve`.

        Args:
            name: The name of the approval, in lower case with dashes: `large-order`.
            role: The role that the person must have.
            timeout: The longest wait; by default a year.

        Raises:
            RejectedError: The approval was refused; the code is `not_approved`.
            DeadlineExceededError: No decision was made in time.
            DefinitionError: `timeout` is not a timedelta.
        """
        check_duration("timeout", timeout)
        await self._course.clear()
        decision = await self._mailbox.approval(name, role, timeout)
        self._course.check()
        return decision

    def after_compensation(self, step: Step[I, O] | Action[I, O], message: I, /) -> None:
        """Executes a step once every compensation is done, such as telling the customer.

        Only the root saga executes the step; a child saga ignores the call. A failure is logged and changes
        nothing.

        Args:
            step: A bare action; the compensation of a step is not used.
            message: The message of the action.

        Raises:
            DefinitionError: `step` is neither an action nor a step.
        """
        check_step(step)
        if not self._run.is_child:
            self._back.add_errand(step, message)

    @noted
    async def continue_as_new(self, state: object, /) -> NoReturn:
        """Goes on in a new run with a short history: the workflow begins again, with `state` as its input.

        What the saga has come to goes along: what it owes, its deadline, what has arrived for it. Call it
        between steps of a saga whose history grows long, as `temporalio.workflow.info()` suggests. It waits
        as long as the saga is held, and for steps of handlers and of tasks of your own.

        Raises:
            DefinitionError: It is called in a branch, or the workflow does not take such a state.
            SagaError: It is called in the handler of an update, or state and ledger have more than 1 MiB.
            asyncio.CancelledError: The saga turns round.
        """
        if workflow.current_update_info() is not None:
            raise SagaError("a saga does not continue as new in the handler of an update")
        await self._forward.clear_of_others()
        self._forward.refuse_in_branch("a saga continues as new between steps")
        continue_as_new(
            state,
            ContinuedState(
                ledger=self._ledger,
                began_at=self._board.began_at,
                shown=self._board.shown,
                afterwards=tuple(self._back.errands),
                by_hand=self._insistence.by_hand,
                audit=tuple(self._board.audit),
                unread=self._mailbox.unread,
                given_up=self._mailbox.given_up,
                expires_at=self._expires_at,
            ),
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            try:
                await self._forward.end()
                self._refuse_excess()
            except (asyncio.CancelledError, SagaError) as turned:
                error = turned
        if error is None:
            self._complete()
            return
        # An eviction or continue-as-new is neither: nothing of ours may run on it.
        if not isinstance(error, (Exception, asyncio.CancelledError)):
            return
        if self._ledger.phase is Phase.PAST_PIVOT:
            self._refuse_to_fail(error)
        was_cancelled = workflow.cancellation_reason() is not None
        if not isinstance(error, (asyncio.CancelledError, SagaError, FailureError)):
            # Nobody expected it, and only who looks into the workflow's failure would see it.
            workflow.logger.error("the saga turns round for %r", error, exc_info=error)
        self._mailbox.close(TURNED)
        await run_uncancelled(self._back.take())
        self._run.is_open = self._course.is_open = False
        self._back.leave(error, was_cancelled=was_cancelled)

    def _complete(self) -> None:
        self._run.is_open = self._course.is_open = False
        self._mailbox.close(ENDED)
        self._run.owed = self._ledger.plan()
        self._run.by_hand = dict(self._insistence.by_hand)
        # What is completed is not cancelled any more, and a child must tell its parent what it owes.
        self._run.guard.is_shielded = True
        self._expires_at = None
        self._board.show(Status.SETTLED if self._insistence.by_hand else Status.COMPLETED)
        self._run.tell_completed = self._board.write
        self._news = asyncio.create_task(self._tell_if_the_workflow_goes_on())

    async def _tell_if_the_workflow_goes_on(self) -> None:
        """Has history say that the block has ended, or a rescue would make up for what is meant to stay."""
        # Conditions are looked at when everything that is ready has run. Twice, as what the workflow waits
        # for may be so already: the end of all handlers, for one.
        for _ in range(2):
            await workflow.wait_condition(lambda: True)
        if not self._run.is_over:
            self._board.write()

    def _refuse_to_fail(self, error: BaseException) -> NoReturn:
        """An error after the pivot is a bug in the workflow: its task fails until the code is mended."""
        self._run.is_open = self._course.is_open = False
        raise DefinitionError(
            f"{wire_type_of(error)} was raised after the pivot, where a saga only goes forward: {error}"
        ) from error

    def _refuse_excess(self) -> None:
        """A child that cannot tell its parent what it owes has to make up for it by itself."""
        if self._run.is_child and isinstance(
            excess := encode([self._ledger.plan()], "what it owes to its parent"), ActivityOutcome
        ):
            raise RejectedError(excess.code, excess.reason)

    async def _turn_round_in_time(self, rest: timedelta) -> None:
        if rest > timedelta(0):
            await workflow.sleep(rest, summary=DEADLINE)
        if self._expires_at is not None:
            self._course.turn(DeadlineExceededError("the saga"))
