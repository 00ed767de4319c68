"""The scope in which a workflow's steps are one saga: all of them, or none."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, overload

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from .._errors import DeadlineError, DefinitionError, RejectedError, UnknownOutcomeError
from .._ledger import Compensation, CompensationOrder, Ledger, Outcome, Phase, Scope
from .._mark import Purpose, mark_of
from .._operation import NAME
from .._policy import Policy
from .._status import Board, Status
from .._steps import Action, Call, MethodAction, Step
from .._verdict import SAGA_REFUSED, Verdict
from .attempt import carry_out, encode
from .branches import OnFailure, run_branches
from .carried import Carried
from .children import ChildRejectedError, Lost, result_type_of, run_child
from .continuing import continue_as_new
from .course import YEAR, Course
from .desk import Desk
from .guard import to_its_end
from .insist import Insistence, words
from .mailbox import Decision, Expected, Mailbox
from .pivot import verdict_on_pivot
from .run import Closed, current
from .way_back import WayBack

I = TypeVar("I")  # noqa: E741 - what goes in, as in a step
O = TypeVar("O")  # noqa: E741 - what comes out
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


class Saga:
    """Steps that belong together: when one fails, what was started is made up for, newest first.

    Use it as an async context manager in the run method of any workflow whose client has `SagaPlugin`::

        async with Saga() as saga:
            await saga.step(reserve, order)
            await saga.pivot(ship, order)

    - An error or a cancel that leaves the block compensates every step that is done or unknown; the
      workflow then fails with an `ApplicationError` of type `SagaCompensated`, or closes as cancelled.
    - A cancel never stops a compensation, and changes nothing after the pivot, or after the block.
    - A compensation that does not succeed makes the saga *stuck*: it says so, and goes on trying. An
      operator can settle it by hand; the error's type is then `SagaSettled`.

    Args:
        scope: Which steps are compensated: *in doubt* (those done or unknown), or *attempted* (those
            rejected as well).
        order: Compensations run one after the other, the newest first, or all at once.
        deadline: How long the saga may take up to its pivot, or to its end where it has none. After it,
            the saga turns round as if it had failed with `DeadlineError`.
    """

    def __init__(
        self,
        *,
        scope: Scope = Scope.IN_DOUBT,
        order: CompensationOrder = CompensationOrder.REVERSE,
        deadline: timedelta | None = None,
    ) -> None:
        if deadline is not None and deadline <= timedelta(0):
            raise DefinitionError(f"the deadline of a saga must be above 0, not {deadline}")
        self._run = run = current()
        carried = run.carried or Carried(ledger=Ledger(scope, order))
        self._ledger = carried.ledger
        self._board = Board(
            self._ledger,
            search_attributes=run.search_attributes,
            began_at=carried.began_at,
            shown=carried.shown,
        )
        self._insistence = Insistence(self._board, dict(carried.by_hand))
        self._course = Course(run.guard, self._ledger, self._board)
        self._mailbox = Mailbox(dict(carried.unread))
        self._desk = Desk(
            ledger=self._ledger,
            board=self._board,
            course=self._course,
            insistence=self._insistence,
            mailbox=self._mailbox,
            authorize=run.authorize,
        )
        self._board.audit += carried.audit
        self._was_held = carried.is_held
        self._expires_at = carried.expires_at or (workflow.now() + deadline if deadline else None)
        self._busy: set[str] = set()
        self._way_back = WayBack(
            run=run,
            ledger=self._ledger,
            board=self._board,
            insistence=self._insistence,
            course=self._course,
            busy=self._busy,
            errands=carried.afterwards,
        )
        self._pivot: str | None = None
        self._open_branches = 0

    async def __aenter__(self) -> Self:
        info = workflow.info()
        if info.cron_schedule:
            raise ApplicationError(
                "all runs of a cron schedule have the same keys: start each saga with an id of its own",
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
        self._run.has_saga = self._run.is_open = self._course.is_open = True
        self._task = asyncio.current_task()
        self._run.details = lambda: "\n- ".join(
            [self._board.details(), *self._mailbox.waits_for, *self._mailbox.late]
        )
        self._desk.open()
        if self._run.carried is None:
            self._board.metrics.started()
        if self._was_held:
            self._course.hold()
        if self._expires_at is not None:
            self._watch = asyncio.create_task(self._turn_round_in_time(self._expires_at - workflow.now()))
        return self

    async def step(self, step: Step[I, O], message: I, /) -> O:
        """Does a step, and returns the result of its action.

        After the pivot the action is tried until it is done.

        Raises:
            RejectedError: The participant refused; the action has no effect.
            UnknownOutcomeError: All attempts are spent, and it may have happened all the same. A saga that
                goes on in spite of it cannot complete: it raises it again at its pivot, or at its end.
        """
        await self._course.clear()
        is_past_pivot = self._ledger.phase is Phase.PAST_PIVOT
        result: O = await self._do(step, message, Purpose.RETRIABLE if is_past_pivot else Purpose.STEP)
        self._course.check()
        return result

    async def best_effort(self, step: Step[I, O], message: I, /) -> O | None:
        """Does a step whose failure does not fail the saga; returns `None` when it failed."""
        await self._course.clear()
        result: O | None
        try:
            result = await self._do(step, message, Purpose.BEST_EFFORT)
        except (RejectedError, UnknownOutcomeError) as error:
            workflow.logger.warning("best effort: %s", error)
            result = None
        self._course.check()
        return result

    async def pivot(self, action: Action[I, O] | MethodAction[Any, I, O], message: I, /) -> O:
        """Passes the point of no return: once the action is done, the saga only goes forward.

        A cancel withdraws the action as long as it has not begun. Once it may have begun, it is tried until
        there is a verdict; a saga that waits longer than the policy's attempts says that it is stuck.

        Raises:
            RejectedError: The participant refused: everything before the pivot is compensated.
            UnknownOutcomeError: Before it, the outcome of a step is unknown, and was passed over.
        """
        await self._course.clear()
        with self._alone(action.name) as address:
            verdict = await verdict_on_pivot(
                action,
                message,
                address=address,
                mark=self._mark(action, Purpose.PIVOT),
                was_reset=self._run.was_reset,
                guard=self._run.guard,
                insistence=self._insistence,
            )
            result: O = self._settle(address, verdict)
            self._ledger.pass_pivot()
        return result

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
        await self._course.clear()
        self._check_name(name)
        with self._alone(name, is_child=True) as address:
            try:
                closed = await self._close(run, message, address, task_queue, is_pivot=True)
                result = closed.result
            except Lost as error:
                # Nobody knows on which side of its pivot it was: a person has to find out.
                self._run.guard.is_deaf = True
                call = Call(activity=name, result=result_type_of(run), policy=Policy())
                verdict = await to_its_end(self._insistence.verdict_by_hand(address, call, str(error)))
                self._run.guard.is_deaf = verdict.outcome is Outcome.DONE
                result = self._settle(address, verdict)
            self._ledger.closed(address, ())
            self._ledger.pass_pivot()
            self._run.guard.is_deaf = True
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
        await self._course.clear()
        if self._ledger.phase is not Phase.FORWARD:
            is_late = self._ledger.phase is Phase.PAST_PIVOT
            why = (
                "comes after the pivot, where nothing may fail"
                if is_late
                else "cannot start: the saga is compensating"
            )
            raise DefinitionError(f"child {name!r} {why}")
        self._check_name(name)
        self._check_pivot(name)
        address = self._ledger.address_of(name)
        self._ledger.start(address, is_child=True)
        with self._under_way(address):
            closed = await self._close(run, message, address, task_queue)
        self._ledger.closed(address, closed.owed)
        self._course.check()
        return closed.result

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
        self._open_branches += 1
        try:
            return await run_branches(branches, self._course, on_failure)
        finally:
            self._open_branches -= 1

    def expect(self, name: str, message: type[T], /) -> Expected[T]:
        """Opens a slot for an external event, which may come before the saga waits for it.

        It comes as a signal or an update called `name`.

        Args:
            name: In lower case with dashes: `payment-cleared`.
            message: The type of what it says.
        """
        return self._mailbox.expect(name, message)

    async def wait_for(self, expected: Expected[T], /, *, deadline: timedelta = YEAR) -> T:
        """Waits for an external event and returns what it says; several are returned in their order.

        One that comes too late is kept for the next wait and reported in the saga's details; as an update
        it is refused, so that its sender knows.

        Args:
            expected: Made by `expect`.
            deadline: How long to wait; a timer of the server, by default a year.

        Raises:
            DeadlineError: It did not come in time.
        """
        await self._course.clear()
        message = await self._mailbox.next(expected, deadline)
        self._course.check()
        return message

    async def approval(self, name: str, /, *, role: str, deadline: timedelta = YEAR) -> Decision:
        """Waits until a person says that the saga may go on: `sagas approve`.

        Args:
            name: Of the decision, in lower case with dashes: `large-order`.
            role: What the person must be.
            deadline: How long to wait, by default a year.

        Raises:
            RejectedError: The person decided against it; the code is `not_approved`.
            DeadlineError: Nobody decided in time.
        """
        await self._course.clear()
        decision = await self._mailbox.approval(name, role, deadline)
        self._course.check()
        return decision

    def after_compensation(self, step: Step[I, O], message: I, /) -> None:
        """Does a step once everything is made up for: telling the customer, for one.

        Only the root of a family of sagas does it. Its failure is recorded and changes nothing.
        """
        if not self._run.is_child:
            self._way_back.add_errand(step, message)

    def continue_as_new(self, state: object, /) -> NoReturn:
        """Goes on in a new run with a short history: the workflow begins again, with `state` as its input.

        What the saga has come to goes along: what it owes, its deadline, what has arrived for it. Call it
        between steps of a saga whose history grows long, as `temporalio.workflow.info()` suggests.

        Raises:
            DefinitionError: Steps or children are under way.
            asyncio.CancelledError: The saga turns round.
        """
        self._course.check()
        if self._busy or self._open_branches or self._pivot:
            raise DefinitionError(
                f"a saga continues as new between steps; under way is {self._under_way_now()}"
            )
        continue_as_new(
            state,
            Carried(
                ledger=self._ledger,
                began_at=self._board.began_at,
                shown=self._board.shown,
                afterwards=tuple(self._way_back.errands),
                by_hand=self._insistence.by_hand,
                audit=tuple(self._board.audit),
                unread=self._mailbox.unread,
                expires_at=self._expires_at,
                is_held=self._board.is_held,
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
                await self._finish()
                self._refuse_doubt()
                self._refuse_excess()
            except (asyncio.CancelledError, UnknownOutcomeError, RejectedError) as turned:
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
        await to_its_end(self._way_back.take())
        self._run.is_open = self._course.is_open = False
        self._way_back.leave(error, was_cancelled=was_cancelled)

    async def _finish(self) -> None:
        """Waits for what is under way in tasks of the workflow's own, and as long as the saga is held."""
        await self._course.clear()
        while self._busy:
            await workflow.wait_condition(lambda: not self._busy)
            await self._course.clear()

    def _complete(self) -> None:
        self._run.is_open = self._course.is_open = False
        self._run.owed = self._ledger.plan()
        self._run.by_hand = dict(self._insistence.by_hand)
        # What is completed is not cancelled any more, and a child must tell its parent what it owes.
        self._run.guard.is_deaf = True
        self._expires_at = None
        self._board.show(Status.SETTLED if self._insistence.by_hand else Status.COMPLETED)

    def _refuse_to_fail(self, error: BaseException) -> NoReturn:
        """An error after the pivot is a bug in the workflow: its task fails until the code is mended."""
        self._run.is_open = self._course.is_open = False
        raise DefinitionError(
            f"{type(error).__name__} was raised after the pivot, where a saga only goes forward: {error}"
        ) from error

    def _refuse_doubt(self) -> None:
        """What may have happened, and nobody counts on, must be made up for, and only failing does so."""
        if self._ledger.phase is Phase.FORWARD and (doubtful := self._ledger.in_doubt()):
            raise UnknownOutcomeError(doubtful[0], "the saga went on, and cannot complete with it")

    def _refuse_excess(self) -> None:
        """A child that cannot tell its parent what it owes has to make up for it by itself."""
        if self._run.is_child and isinstance(excess := encode([self._ledger.plan()]), Verdict):
            raise RejectedError(excess.code, f"what it owes does not fit into its answer: {excess.reason}")

    async def _turn_round_in_time(self, rest: timedelta) -> None:
        if rest > timedelta(0):
            await workflow.sleep(rest, summary="the saga's deadline")
        if self._expires_at is not None:
            self._course.turn(DeadlineError("the saga"))

    async def _do(self, step: Step[I, O], message: I, purpose: Purpose) -> Any:
        self._check_pivot(step.name)
        address = self._ledger.address_of(step.name)
        is_best_effort = purpose is Purpose.BEST_EFFORT
        self._ledger.start(address, _owed_for(step, address, message), is_best_effort=is_best_effort)
        is_retriable = purpose is Purpose.RETRIABLE
        tries = self._insistence.until_done if is_retriable else carry_out
        mark = self._mark(step, purpose)
        trying = tries(step.call, [message], activity_id=address, summary=words(step.name), mark=mark)
        with self._under_way(address):
            verdict = await (to_its_end(trying) if is_retriable else trying)
        return self._settle(address, verdict)

    async def _close(
        self,
        run: Callable[[Any, I], Awaitable[O]],
        message: I,
        address: str,
        task_queue: str | None,
        *,
        is_pivot: bool = False,
    ) -> Closed[O]:
        """Runs a child to its end, and notes in the ledger if it failed."""
        try:
            closed = await run_child(run, message, name=address, task_queue=task_queue, is_pivot=is_pivot)
        except RejectedError as error:
            self._ledger.failed(address, Outcome.REJECTED)
            if isinstance(error, ChildRejectedError):
                self._insistence.by_hand.update(error.by_hand)
            self._course.check()
            raise
        except Lost:
            self._ledger.failed(address, Outcome.UNKNOWN)
            raise
        self._insistence.by_hand.update(closed.by_hand)
        return closed

    def _settle(self, address: str, verdict: Verdict) -> Any:
        if verdict.outcome is Outcome.DONE:
            self._ledger.done(address, verdict.value)
            return verdict.value
        self._ledger.failed(address, verdict.outcome)
        self._course.check()
        if verdict.outcome is Outcome.REJECTED:
            raise RejectedError(verdict.code, verdict.reason, verdict.field)
        raise UnknownOutcomeError(address, verdict.reason)

    def _mark(
        self, what: Step[Any, Any] | Action[Any, Any] | MethodAction[Any, Any, Any], purpose: Purpose
    ) -> Payload:
        return mark_of(what, purpose, self._ledger.scope, self._ledger.order)

    @contextmanager
    def _alone(self, name: str, *, is_child: bool = False) -> Generator[str]:
        """Starts the pivot, while nothing else of the saga is under way."""
        if self._run.is_child and not self._run.is_pivot:
            raise DefinitionError(
                "a child saga stays compensatable until its root closes: only a `pivot_child` has a pivot"
            )
        if self._ledger.phase is not Phase.FORWARD:
            is_second = self._ledger.phase is Phase.PAST_PIVOT
            why = (
                "is a second pivot; a saga has one" if is_second else "cannot start: the saga is compensating"
            )
            raise DefinitionError(f"{name!r} {why}")
        self._check_pivot(name)
        if self._busy or self._open_branches:
            raise DefinitionError(f"the pivot {name!r} is passed alone; under way is {self._under_way_now()}")
        if asyncio.current_task() is not self._task:
            raise DefinitionError(f"the pivot {name!r} is passed alone, by the task that opened the saga")
        self._refuse_doubt()
        address = self._ledger.address_of(name)
        self._ledger.start(address, is_child=is_child)
        self._pivot = address
        try:
            with self._under_way(address):
                yield address
        finally:
            self._pivot = None

    def _under_way_now(self) -> str:
        return ", ".join(sorted(self._busy)) or "a branch"

    def _check_pivot(self, name: str) -> None:
        if self._pivot is not None:
            raise DefinitionError(f"{name!r} cannot start beside the pivot {self._pivot!r}")

    def _check_name(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise DefinitionError(f"the name of child {name!r} must be words in lower case joined by dashes")

    @contextmanager
    def _under_way(self, address: str) -> Generator[None]:
        self._busy.add(address)
        try:
            yield
        finally:
            self._busy.discard(address)


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
