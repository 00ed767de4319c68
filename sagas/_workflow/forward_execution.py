"""The way forward: steps, children and the pivot, each noted in the ledger as it starts and as it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload

from .._core.activity_outcome import ActivityOutcome
from .._core.activity_policy import ActivityPolicy
from .._core.compensation import PendingCompensation
from .._core.ledger import Ledger
from .._core.lifecycle import Phase
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._declarations.activity_spec import ActivitySpec
from .._declarations.names import check_name
from .._declarations.step import Action, Step
from .._errors import (
    ChildOutcomeUnknownError,
    DefinitionError,
    RejectedError,
    TooLateError,
    UnknownOutcomeError,
)
from .._execution.activity_call import run_activity, snapshot
from .._execution.retry_loop import RetryLoop, words
from .._run.cancellation_shield import current_guard, run_uncancelled
from .._run.context import RunContext
from .._run.forward_check import ForwardCheck
from .._wire.activity_header import action_header
from .._wire.child_saga import ChildResult
from .child_saga import ChildCompensatedError, result_type_of, run_child
from .pivot import run_pivot
from .unawaited_calls import UnawaitedCalls, check_is_step

I = TypeVar("I")  # noqa: E741 - what goes in, as in a step
O = TypeVar("O")  # noqa: E741 - what comes out


class ForwardExecution:
    """Taken by a saga from its beginning, until it has ended or turns round.

    Args:
        run: The workflow run; what follows the pivot is kept from its cancel.
        ledger: Is told of everything.
        course: Says whether it may go on.
        insistence: Tries what must succeed.
        asked: Knows what was forgotten.
    """

    def __init__(
        self,
        *,
        run: RunContext,
        ledger: Ledger,
        course: ForwardCheck,
        insistence: RetryLoop,
        asked: UnawaitedCalls,
    ) -> None:
        self._run, self._ledger, self._course, self._insistence = run, ledger, course, insistence
        self._asked = asked
        self._pivot: str | None = None
        self._waiting = 0
        self._task: asyncio.Task[Any] | None = None
        self.busy: set[str] = set()
        """The addresses of what is under way."""

    def set_out(self) -> None:
        """Begins in the current task, which is the one that may pass the pivot."""
        self._task = asyncio.current_task()

    async def step(self, step: Step[I, O] | Action[I, O], message: I) -> O:
        """Does a step; after the pivot, until it is done."""
        await self._clear_of_pivot()
        is_past_pivot = self._ledger.phase is Phase.PAST_PIVOT
        if not is_past_pivot:
            check_is_step(step)
        result: O = await self._do(step, message, Purpose.RETRIABLE if is_past_pivot else Purpose.STEP)
        self._course.check()
        return result

    async def best_effort(self, step: Step[I, O] | Action[I, O], message: I) -> O | None:
        """Does a step whose failure changes nothing."""
        await self._clear_of_pivot()
        result: O | None
        try:
            result = await self._do(step, message, Purpose.BEST_EFFORT)
        except (RejectedError, UnknownOutcomeError) as error:
            workflow.logger.warning("best effort: %s", error)
            result = None
        self._course.check()
        return result

    async def pivot(self, action: Action[I, O], message: I) -> O:
        """Passes the pivot with an action."""
        await self.clear_of_others()
        with self._alone(action.name) as address:
            verdict = await run_pivot(
                action,
                snapshot(message),
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
        self, run: Callable[[Any, I], Awaitable[O]], message: I, *, name: str, task_queue: str | None
    ) -> O:
        """Passes the pivot with a child."""
        await self.clear_of_others()
        check_name("child", name)
        with self._alone(name, is_child=True) as address:
            try:
                closed = await self._close(run, message, address, task_queue, is_pivot=True)
                result = closed.result
            except ChildOutcomeUnknownError as error:
                # Nobody knows on which side of its pivot it was: a person has to find out.
                self._run.guard.is_shielded = True
                call = ActivitySpec(activity=name, result=result_type_of(run), policy=ActivityPolicy())
                verdict = await run_uncancelled(self._insistence.verdict_by_hand(address, call, str(error)))
                self._run.guard.is_shielded = verdict.outcome is Outcome.DONE
                result = self._settle(address, verdict)
            self._ledger.closed(address, ())
            self._ledger.pass_pivot()
            self._run.guard.is_shielded = True
        return result

    async def child(
        self, run: Callable[[Any, I], Awaitable[O]], message: I, *, name: str, task_queue: str | None
    ) -> O:
        """Runs a child, and takes over what it owes."""
        await self._clear_of_pivot()
        if self._ledger.phase is not Phase.FORWARD:
            is_late = self._ledger.phase is Phase.PAST_PIVOT
            why = (
                "comes after the pivot, where nothing may fail"
                if is_late
                else "cannot start: the saga is compensating"
            )
            raise TooLateError(f"child {name!r} {why}")
        check_name("child", name)
        self._refuse_beside_pivot(name)
        address = self._ledger.address_of(name)
        self._ledger.start(address, is_child=True)
        with self._under_way(address):
            closed = await self._close(run, message, address, task_queue)
        self._ledger.closed(address, closed.owed)
        self._course.check()
        return closed.result

    async def end(self) -> None:
        """Waits for what is under way in handlers, and as long as the saga is held.

        Raises:
            UnknownOutcomeError: Something may have happened that nobody counts on.
        """
        await self.clear_of_others()
        self._refuse_doubt()

    async def _clear_of_pivot(self) -> None:
        """Waits until the saga may go on, and no pivot is under way: a handler cannot know that one is."""
        self._waiting += 1
        try:
            await self._course.clear()
            while self._pivot is not None:
                await workflow.wait_condition(lambda: self._pivot is None)
                await self._course.clear()
        finally:
            self._waiting -= 1

    async def clear_of_others(self) -> None:
        """Waits until the saga may go on, and no step of a handler is under way, nor waits to begin.

        A handler cannot know that it is too late; a branch can.
        """
        await self._course.clear()
        if self._is_in_branch:
            return
        await self._asked.refuse_forgotten()
        while self._is_taken:
            await workflow.wait_condition(lambda: not self._is_taken)
            await self._course.clear()

    @property
    def _is_taken(self) -> bool:
        return bool(self.busy or self._waiting)

    @property
    def _is_in_branch(self) -> bool:
        return current_guard() is not self._run.guard

    def refuse_in_branch(self, what: str) -> None:
        """Refuses what is done while nothing else is.

        Raises:
            DefinitionError: A branch does it.
        """
        if self._is_in_branch:
            raise DefinitionError(f"{what}, and not in a branch")

    async def _do(self, step: Step[Any, Any] | Action[Any, Any], message: object, purpose: Purpose) -> Any:
        self._refuse_beside_pivot(step.name)
        message = snapshot(message)
        address = self._ledger.address_of(step.name)
        is_best_effort = purpose is Purpose.BEST_EFFORT
        self._ledger.start(address, _owed_for(step, address, message), is_best_effort=is_best_effort)
        is_retriable = purpose is Purpose.RETRIABLE
        tries = self._insistence.until_done if is_retriable else run_activity
        mark = self._mark(step, purpose)
        trying = tries(step.call, [message], activity_id=address, summary=words(step.name), mark=mark)
        with self._under_way(address):
            verdict = await (run_uncancelled(trying) if is_retriable else trying)
        return self._settle(address, verdict)

    async def _close(
        self,
        run: Callable[[Any, I], Awaitable[O]],
        message: I,
        address: str,
        task_queue: str | None,
        *,
        is_pivot: bool = False,
    ) -> ChildResult[O]:
        """Runs a child to its end, and notes in the ledger if it failed."""
        try:
            closed = await run_child(run, message, name=address, task_queue=task_queue, is_pivot=is_pivot)
        except RejectedError as error:
            self._ledger.failed(address, Outcome.REJECTED)
            if isinstance(error, ChildCompensatedError):
                self._insistence.by_hand.update(error.by_hand)
            self._course.check()
            raise
        except ChildOutcomeUnknownError:
            self._ledger.failed(address, Outcome.UNKNOWN)
            raise
        self._insistence.by_hand.update(closed.by_hand)
        return closed

    def _settle(self, address: str, verdict: ActivityOutcome) -> Any:
        if verdict.outcome is Outcome.DONE:
            self._ledger.done(address, snapshot(verdict.value))
            return verdict.value
        self._ledger.failed(address, verdict.outcome)
        self._course.check()
        if verdict.outcome is Outcome.REJECTED:
            raise RejectedError(verdict.code, verdict.reason, verdict.field)
        raise UnknownOutcomeError(address, verdict.reason)

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
        self._refuse_beside_pivot(name)
        self.refuse_in_branch(f"the pivot {name!r} is passed alone")
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

    @contextmanager
    def _under_way(self, address: str) -> Generator[None]:
        self.busy.add(address)
        try:
            yield
        finally:
            self.busy.discard(address)

    def _refuse_beside_pivot(self, name: str) -> None:
        if self._pivot is not None:
            raise DefinitionError(f"{name!r} cannot start beside the pivot {self._pivot!r}")

    def _refuse_doubt(self) -> None:
        """What may have happened, and nobody counts on, must be made up for, and only failing does so."""
        if self._ledger.phase is Phase.FORWARD and (doubtful := self._ledger.in_doubt()):
            raise UnknownOutcomeError(doubtful[0], "the saga went on, and cannot complete with it")

    def _mark(self, what: Step[Any, Any] | Action[Any, Any], purpose: Purpose) -> Payload:
        return action_header(what, purpose, self._ledger.scope, self._ledger.order)


def _owed_for(
    step: Step[Any, Any] | Action[Any, Any], address: str, message: object
) -> PendingCompensation | None:
    spec = step.compensation if isinstance(step, Step) else None
    return None if spec is None else spec.pending(address, message)
