"""Forward execution: steps, children and the pivot, each recorded in the ledger at start and end."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import PendingCompensation, PendingConfirmation
from .._core.ids import keyed
from .._core.lifecycle import Phase
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._core.saga_outcome import SagaOutcome
from .._declarations.names import check_name
from .._declarations.step import Action, IrreversibleStep, Step
from .._errors import (
    ChildOutcomeUnknownError,
    DefinitionError,
    RejectedError,
    TooLateError,
    UnknownOutcomeError,
)
from .._execution.activity_call import ActivityCall, run_activity, snapshot
from .._execution.pivot import run_pivot
from .._execution.retry_loop import RetryLoop, summary_of, words
from .._run.cancellation_shield import current_shield, run_uncancelled
from .._run.context import RunContext
from .._run.forward_check import check_forward, check_forward_after, wait_until_forward
from .._run.open_section import current_path
from .._run.scope import Scope
from .._wire.activity_header import action_header
from .._wire.child_saga import ChildResult
from .._wire.error_text import error_text
from .._wire.failures import NO_WORKER
from .call_arguments import check_before_pivot
from .child_saga import CANCELLED, Child, ChildCompensatedError, result_type_of, run_child
from .independent_saga import run_independent_saga
from .unawaited_calls import UnawaitedCalls

I = TypeVar("I")  # noqa: E741 - what goes in, as in a step
O = TypeVar("O")  # noqa: E741 - what comes out

READ_ONLY_PATCH = "saga-read-only-outcome"
"""The patch of sagas that complete although the outcome of a read-only step is unknown."""


class ForwardExecution:
    """Executes the forward steps of a saga until the saga has ended or compensates.

    Args:
        context: The workflow run.
        scope: The saga.
        retry_loop: Runs steps that must succeed.
        unawaited: The calls of the saga without an await.
    """

    def __init__(
        self, context: RunContext, scope: Scope, retry_loop: RetryLoop, unawaited: UnawaitedCalls
    ) -> None:
        self._context, self._scope = context, scope
        self._retry_loop, self._unawaited = retry_loop, unawaited
        self._waiting_steps = 0
        self._main_task: asyncio.Task[Any] | None = None

    def bind_main_task(self) -> None:
        """Makes the current task the only task that may pass the pivot."""
        self._main_task = asyncio.current_task()

    async def step(self, step: Step[I, O] | Action[I, O], message: I, key: str | None = None) -> O:
        """Runs a step; after the pivot, until the step is done."""
        await self._wait_for_pivot()
        is_past_pivot = self._scope.lifecycle.is_past_pivot
        if not is_past_pivot:
            check_before_pivot(step)
        purpose = Purpose.RETRIABLE if is_past_pivot else Purpose.STEP
        result: O = await self._run_step(step, message, purpose, key)
        check_forward(self._scope)
        return result

    async def best_effort(
        self, step: Step[I, O] | Action[I, O], message: I, key: str | None = None
    ) -> O | None:
        """Runs a step whose failure does not fail the saga."""
        await self._wait_for_pivot()
        result: O | None
        try:
            result = await self._run_step(step, message, Purpose.BEST_EFFORT, key)
        except (RejectedError, UnknownOutcomeError) as error:
            workflow.logger.warning("best effort: %s", error_text(error))
            result = None
        check_forward(self._scope)
        return result

    async def pivot(self, action: Action[I, O] | IrreversibleStep[I, O], message: I) -> O:
        """Passes the pivot with an action."""
        self.refuse_in_section(f"the pivot {action.name!r} is passed outside of sections")
        await self.wait_for_other_steps()
        with self._pivot_under_way(action.name) as address:
            call = ActivityCall(
                spec=action.call,
                arguments=[snapshot(message)],
                activity_id=address,
                summary=words(action.name),
                header=self._header(action, Purpose.PIVOT),
            )
            outcome = await run_pivot(
                call, self._scope, self._retry_loop, may_have_begun=self._context.was_reset
            )
            result: O = self._record(address, outcome)
        return result

    async def pivot_child(
        self, run: Callable[[Any, I], Awaitable[O]], message: I, *, name: str, task_queue: str | None
    ) -> O:
        """Passes the pivot with a child saga."""
        self.refuse_in_section(f"the pivot {name!r} is passed outside of sections")
        await self.wait_for_other_steps()
        check_name("child", name)
        lifecycle, ledger = self._scope.lifecycle, self._scope.ledger
        with self._pivot_under_way(name, is_child=True) as address:
            child = Child(
                name=address,
                task_queue=task_queue,
                is_pivot=True,
                parent_on_stuck=ledger.on_stuck,
                lost=self._lost(Purpose.PIVOT),
            )
            confirmations: tuple[PendingConfirmation, ...] = ()
            try:
                closed = await self._run_child(run, message, child)
                result, confirmations = closed.result, closed.confirmations
            except ChildOutcomeUnknownError as error:
                # The child may have passed the child's own pivot: a person has to find out.
                lifecycle.mark_pivot_in_doubt()
                outcome = await run_uncancelled(
                    self._retry_loop.wait_for_pivot_resolution(
                        address, result_type_of(run), error_text(error)
                    )
                )
                if outcome.outcome is not Outcome.DONE:
                    lifecycle.withdraw_pivot()
                result = self._record(address, outcome)
            ledger.complete_child(address, (), confirmations)
            lifecycle.pass_pivot()
        return result

    async def child(
        self, run: Callable[[Any, I], Awaitable[O]], message: I, *, name: str, task_queue: str | None
    ) -> O:
        """Runs a child saga, and takes over the child's pending compensations."""
        await self._wait_for_pivot()
        lifecycle, ledger = self._scope.lifecycle, self._scope.ledger
        if lifecycle.is_past_pivot:
            raise TooLateError(f"child {name!r} comes after the pivot, where nothing may fail")
        if lifecycle.phase is Phase.COMPENSATING:
            raise TooLateError(f"child {name!r} cannot start: the saga is compensating")
        check_name("child", name)
        lifecycle.check_start(name)
        address = ledger.next_address(name)
        sections = current_path()
        ledger.start(address, is_child=True, sections=sections)
        child = Child(name=address, task_queue=task_queue, parent_on_stuck=ledger.on_stuck, sections=sections)
        with self._under_way(address):
            closed = await self._run_child(run, message, child)
        ledger.complete_child(address, closed.compensations, closed.confirmations)
        check_forward(self._scope)
        return closed.result

    async def independent(
        self, run: Callable[[Any, I], Awaitable[O]], message: I, *, name: str, task_queue: str | None
    ) -> SagaOutcome[O]:
        """Runs another saga as a transaction of its own, and returns the outcome."""
        self.refuse_in_section(f"the independent saga {name!r} is started outside of sections")
        await self._wait_for_pivot()
        check_name("independent saga", name)
        self._scope.lifecycle.check_start(name)
        address = self._scope.ledger.next_address(name)
        with self._under_way(address):
            outcome = await run_independent_saga(run, message, address, task_queue)
        check_forward(self._scope)
        return outcome

    async def end(self) -> None:
        """Waits for the steps of handlers, for lost alternatives and for the end of a hold.

        Raises:
            UnknownOutcomeError: The outcome of a step is unknown.
        """
        await self.wait_for_other_steps()
        await self.wait_for_lost_alternatives()
        self._refuse_steps_in_doubt()

    async def wait_for_lost_alternatives(self) -> None:
        """Waits until every lost alternative is compensated."""
        tasks = self._scope.lost_alternatives
        while not all(task.done() for task in tasks):
            await workflow.wait_condition(lambda: all(task.done() for task in tasks))
            await wait_until_forward(self._scope)

    async def wait_for_other_steps(self) -> None:
        """Waits until the saga may go forward and no step of a handler is under way or waits to begin.

        A handler cannot know that a step of the handler comes too late. A branch can, and does not wait.
        """
        await wait_until_forward(self._scope)
        if self._is_in_branch:
            return
        await self._unawaited.refuse()
        while self._scope.is_busy() or self._waiting_steps:
            await workflow.wait_condition(lambda: not (self._scope.is_busy() or self._waiting_steps))
            await wait_until_forward(self._scope)

    def refuse_in_branch(self, rule: str) -> None:
        """Refuses a call that must not run beside other calls.

        Raises:
            DefinitionError: A branch makes the call.
        """
        if self._is_in_branch:
            raise DefinitionError(f"{rule}, and not in a branch")

    def refuse_in_section(self, rule: str) -> None:
        """Refuses a call that must not run inside of a section.

        Raises:
            DefinitionError: The call is made inside of a section.
        """
        if sections := current_path():
            raise DefinitionError(f"{rule}, and not inside of section {sections[-1].address!r}")

    async def _wait_for_pivot(self) -> None:
        """Waits until the saga may go forward and no pivot, unknown to handlers, is under way."""
        self._waiting_steps += 1
        try:
            await wait_until_forward(self._scope)
            while self._scope.lifecycle.phase is Phase.PIVOT:
                await workflow.wait_condition(lambda: self._scope.lifecycle.phase is not Phase.PIVOT)
                await wait_until_forward(self._scope)
        finally:
            self._waiting_steps -= 1

    @property
    def _is_in_branch(self) -> bool:
        return current_shield() is not self._scope.shield

    async def _run_step(
        self, step: Step[Any, Any] | Action[Any, Any], message: object, purpose: Purpose, key: str | None
    ) -> Any:
        lifecycle, ledger = self._scope.lifecycle, self._scope.ledger
        lifecycle.check_start(step.name)
        message = snapshot(message)
        address = ledger.next_address(keyed(step.name, key))
        compensation = None if lifecycle.is_past_pivot else _pending(step, address, message)
        ledger.start(
            address,
            compensation,
            is_best_effort=purpose is Purpose.BEST_EFFORT,
            is_read_only=isinstance(step, Step) and step.is_read_only,
            sections=current_path(),
        )
        if isinstance(step, Step) and step.confirmation is not None:
            ledger.add_confirmation(address, step.confirmation.to_pending(address, message))
        call = ActivityCall(
            spec=step.call,
            arguments=[message],
            activity_id=address,
            summary=summary_of(step.name, address),
            header=self._header(step, purpose),
        )
        with self._under_way(address):
            if purpose is Purpose.RETRIABLE:
                outcome = await run_uncancelled(self._retry_loop.run_until_done(call))
            else:
                outcome = await run_activity(call)
        return self._record(address, outcome)

    async def _run_child(
        self, run: Callable[[Any, I], Awaitable[O]], message: I, child: Child
    ) -> ChildResult[O]:
        """Runs a child to the end, and records a failure in the ledger."""
        lifecycle, ledger = self._scope.lifecycle, self._scope.ledger
        try:
            closed = await run_child(run, message, child)
        except RejectedError as error:
            ledger.fail(child.name, Outcome.REJECTED)
            if isinstance(error, ChildCompensatedError):
                lifecycle.resolutions.update(error.manual_resolutions)
            if error.code == CANCELLED:
                check_forward(self._scope)
            else:
                # A cancel ends a child as cancelled: this child has failed for a reason of its own before.
                check_forward_after(error, self._scope)
            raise
        except ChildOutcomeUnknownError:
            ledger.fail(child.name, Outcome.UNKNOWN)
            raise
        lifecycle.resolutions.update(closed.manual_resolutions)
        return closed

    def _record(self, address: str, outcome: ActivityOutcome) -> Any:
        if outcome.outcome is Outcome.DONE:
            self._scope.ledger.complete(address, snapshot(outcome.value))
            return outcome.value
        self._scope.ledger.fail(address, outcome.outcome)
        check_forward(self._scope)
        if outcome.outcome is Outcome.REJECTED:
            raise RejectedError(outcome.code, outcome.reason, outcome.field)
        # A timeout has no type, and the reason of a missing worker says everything.
        kind = "" if outcome.code == NO_WORKER else outcome.code
        raise UnknownOutcomeError(address, f"{kind}: {outcome.reason}" if kind else outcome.reason)

    @contextmanager
    def _pivot_under_way(self, name: str, *, is_child: bool = False) -> Generator[str]:
        """Starts the pivot, while no other step of the saga is under way."""
        lifecycle = self._scope.lifecycle
        if self._context.is_child and not self._context.is_pivot_child:
            raise DefinitionError(
                "a child saga stays compensatable until its root closes: only a `pivot_child` has a pivot"
            )
        lifecycle.check_pivot(name)
        self.refuse_in_branch(f"the pivot {name!r} is passed alone")
        if asyncio.current_task() is not self._main_task:
            raise DefinitionError(f"the pivot {name!r} is passed alone, by the task that opened the saga")
        self._refuse_steps_in_doubt()
        address = self._scope.ledger.next_address(name)
        self._scope.ledger.start(address, is_child=is_child)
        lifecycle.start_pivot(address)
        try:
            with self._under_way(address):
                yield address
        finally:
            if lifecycle.phase is Phase.PIVOT:
                lifecycle.withdraw_pivot()

    @contextmanager
    def _under_way(self, address: str) -> Generator[None]:
        self._scope.under_way[address] = current_path()
        try:
            yield
        finally:
            del self._scope.under_way[address]

    def _refuse_steps_in_doubt(self) -> None:
        """Fails the saga if a step without a known result may have had an effect."""
        ledger = self._scope.ledger
        if self._scope.lifecycle.is_past_pivot:
            return
        in_doubt = ledger.steps_in_doubt()
        if not in_doubt and (unknown := ledger.steps_in_doubt(with_read_only=True)):
            # Open sagas from before the effect classes have compensated here.
            in_doubt = () if workflow.patched(READ_ONLY_PATCH) else unknown
        if in_doubt:
            raise UnknownOutcomeError(in_doubt[0], "the saga went on, and cannot complete with it")

    def _header(self, action: Step[Any, Any] | Action[Any, Any], purpose: Purpose) -> Payload:
        ledger = self._scope.ledger
        return action_header(action, purpose, ledger.rules, current_path(), self._lost(purpose))

    def _lost(self, purpose: Purpose) -> tuple[str, ...]:
        """The sections of lost alternatives, for the header of the pivot."""
        return tuple(sorted(self._scope.ledger.lost)) if purpose is Purpose.PIVOT else ()


def _pending(
    step: Step[Any, Any] | Action[Any, Any], address: str, message: object
) -> PendingCompensation | None:
    spec = step.compensation if isinstance(step, Step) else None
    return None if spec is None else spec.to_pending(address, message)
