"""The saga scope of a workflow: all steps take effect, or all are compensated."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, overload

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError

from .._core.activity_outcome import ActivityOutcome
from .._core.compensation import CompensationOrder, CompensationScope, OnStuck, SectionSpec
from .._core.saga_outcome import SagaOutcome
from .._declarations.names import check_name
from .._declarations.option_checks import check_duration, check_names, check_positive_duration, check_text
from .._declarations.step import Action, IrreversibleStep, Step
from .._errors import DeadlineExceededError, DefinitionError, RejectedError, SagaError, wire_type_of
from .._execution.activity_call import encode_arguments
from .._execution.confirmation_loop import ConfirmationLoop
from .._execution.retry_loop import RetryLoop
from .._messages.approvals import ApprovalDecision, Approvals
from .._messages.external_events import ExpectedEvent, ExternalEvents
from .._messages.operator_updates import OperatorUpdates
from .._run.bugs import fail_task_for_bug, first_error_of
from .._run.cancellation_shield import run_uncancelled
from .._run.concurrency_limit import MOST_UNDER_WAY
from .._run.context import current_context
from .._run.forward_check import YEAR, check_forward, wait_until_forward
from .._wire.continued_state import ContinuedState, LedgerSnapshot
from .._wire.error_text import error_text
from .._wire.failures import SAGA_REFUSED, trimmed_cause
from .._wire.reportable_error import reportable
from .._wire.timer_summaries import DEADLINE
from .call_arguments import (
    check_expected,
    check_key,
    check_pivot,
    check_step,
    items_of,
    keys_of_items,
    name_of_call,
)
from .compensation_execution import CompensationExecution
from .continue_as_new import continue_as_new, restore_scope
from .first_of import FirstOf
from .forward_execution import ForwardExecution
from .parallel import OnFailure, run_parallel
from .section import Section
from .unawaited_calls import UnawaitedCalls
from .unit_compensation import UnitCompensation

I = TypeVar("I")  # noqa: E741 - what goes in, as in a step
O = TypeVar("O")  # noqa: E741 - what comes out
T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")


class Saga:
    """Steps that belong together: when a step fails, all started steps are compensated, newest first.

    Use a saga as an async context manager in the run method of any workflow whose client has `SagaPlugin`::

        async with Saga() as saga:
            await saga.step(reserve, order)
            await saga.pivot(ship, order)

    - A failure or a cancel that leaves the block compensates every step that is done or unknown; the workflow
      then fails with an `ApplicationError` of type `SagaCompensated`, or closes as cancelled. Failures are
      the errors of this SDK, and the errors with which Temporal closes a workflow. A group of errors is a
      failure if all errors of the group are failures.
    - Any other error is a bug. A bug fails the workflow task until the code is mended, and nothing is
      compensated for a bug.
    - A cancel never stops a compensation, and changes no state after the pivot, or after the block.
    - A compensation that does not succeed makes the saga *stuck*: the status is published, and the
      compensation is retried. An operator can resolve a stuck step manually; the error's type is then
      `SagaSettled`.

    Args:
        scope: The steps that are compensated: *in doubt* (done or unknown) or *attempted* (rejected, too).
        order: Sequential compensation with the newest step first, or all compensations at once.
        on_stuck: Compensations start in the reverse order of the start of their steps. With
            `OnStuck.CONTINUE`, older compensations run although a newer one keeps failing. With
            `OnStuck.WAIT`, an older compensation starts only after the newer ones are done, or resolved by an
            operator: for steps that build on each other. Compensations that run all at once never wait. The
            choice of the saga that compensates counts, also for the steps of completed children, and in a
            rescue.
        timeout: The longest duration of the saga up to the pivot, or up to the end of a saga without a pivot.
            After the timeout the saga compensates as if the block had raised `DeadlineExceededError`.
        foreign_activities: The names of activities, local activities, child workflows and Nexus operations
            without the saga that may run inside the block: *read-only* ones, as no compensation undoes their
            effects. Undeclared work is refused before the work is sent, with an `ApplicationError` of type
            `SagaForeignActivity`: the saga compensates, or the sender of an update receives the refusal.

    Raises:
        DefinitionError: `timeout` is not a timedelta above 0, `foreign_activities` is not a set of names, or
            the saga is opened outside of `run`.
    """

    def __init__(
        self,
        *,
        scope: CompensationScope = CompensationScope.IN_DOUBT,
        order: CompensationOrder = CompensationOrder.REVERSE,
        on_stuck: OnStuck = OnStuck.CONTINUE,
        timeout: timedelta | None = None,
        foreign_activities: AbstractSet[str] = frozenset(),
    ) -> None:
        if timeout is not None:
            check_positive_duration("timeout", timeout)
        self._foreign_activities = check_names("foreign_activities", foreign_activities)
        self._context = context = current_context()
        ledger = LedgerSnapshot(scope=scope, order=order, on_stuck=on_stuck)
        continued = context.continued or ContinuedState(ledger=ledger)
        self._scope = restore_scope(context, continued)
        self._deadline = continued.deadline or (workflow.now() + timeout if timeout else None)
        self._unawaited = UnawaitedCalls()
        retry_loop = self._retry_loop = RetryLoop(self._scope)
        self._events = ExternalEvents(
            self._scope, dict(continued.unconsumed_events), dict(continued.expired_waits)
        )
        self._approvals = Approvals(self._scope)
        self._updates = OperatorUpdates(context, self._scope, retry_loop, self._approvals)
        self._units = UnitCompensation(self._scope, retry_loop)
        self._first_of = FirstOf(self._scope, self._units)
        self._forward = ForwardExecution(context, self._scope, retry_loop, self._unawaited)
        self._compensation = CompensationExecution(
            self._scope, retry_loop, context.open_children, continued.after_compensation
        )

    async def __aenter__(self) -> Self:
        _refuse_unsafe_start()
        context = self._context
        context.lifecycle.open()
        context.scope, context.declared_foreign_activities = self._scope, self._foreign_activities
        self._forward.bind_main_task()
        if context.error_before_open is not None:
            self._scope.request_compensation(context.error_before_open)
        self._updates.open()
        if context.continued is None:
            self._scope.publisher.metrics.started()
        if self._deadline is not None:
            self._timer = asyncio.create_task(self._compensate_after(self._deadline - workflow.now()))
        return self

    def step(
        self, step: Step[I, O] | Action[I, O], message: I, /, *, key: str | None = None
    ) -> Coroutine[object, None, O]:
        """Runs a step, and returns the result of the step's action.

        After the pivot, where steps are no longer compensated, the action is tried until the action is done.

        Args:
            step: Before the pivot, a step with a compensation or a read-only step; after the pivot any step,
                or a bare action.
            message: The message of the action.
            key: Tells one of many executions of the step from the others: 1 to 64 letters, digits, `_`, `.`
                and `-`, the same in each replay. The address is `reserve-seat[7a]`, the second time
                `reserve-seat[7a]#2`; the idempotency key contains the address.

        Raises:
            RejectedError: The participant rejected the action; the action has no effect.
            UnknownOutcomeError: All attempts have failed, and the action may have happened. A saga that goes
                on in spite of this error cannot complete: the error is raised again at the pivot, or at the
                end of the block. A read-only step has no effect, and does not prevent the completion.
            DefinitionError: The step is irreversible or a bare action, and the saga is before the pivot, or
                the key is malformed. The action was not sent.
        """
        return self._track("step", step, self._step(step, message, key))

    def best_effort(
        self, step: Step[I, O] | Action[I, O], message: I, /, *, key: str | None = None
    ) -> Coroutine[object, None, O | None]:
        """Runs a step whose failure does not fail the saga; returns `None` when the step failed.

        Args:
            step: A bare action, or a step of any effect class. The effect of an action without a
                compensation stays when the saga compensates, and is listed under the remaining effects.
            message: The message of the action.
            key: Tells one of many executions of the step from the others, as in `step`.

        Raises:
            DefinitionError: The key is malformed.
        """
        # In a separate line, or the result type of the action is inferred with `None`.
        call = self._best_effort(step, message, key)
        return self._track("best_effort", step, call)

    def pivot(
        self, action: Action[I, O] | IrreversibleStep[I, O], message: I, /
    ) -> Coroutine[object, None, O]:
        """Passes the point of no return: once the action is done, the saga only goes forward.

        A cancel withdraws the action as long as no worker has begun the action. From then on the action is
        tried until the outcome is known; after `maximum_attempts` attempts the saga is stuck meanwhile.

        Args:
            action: A bare action, or an irreversible step; a pivot has no compensation.
            message: The message of the action.

        Raises:
            RejectedError: The participant rejected the action: every step before the pivot is compensated.
            UnknownOutcomeError: The outcome of a step before the pivot is unknown.
        """
        return self._track("pivot", action, self._pivot(action, message))

    def pivot_child(
        self,
        run: Callable[[Any, I], Awaitable[O]],
        message: I,
        /,
        *,
        name: str,
        task_queue: str | None = None,
    ) -> Coroutine[object, None, O]:
        """Passes the point of no return with a child saga; the child may have a pivot as well.

        A cancel is passed on to the child. The end of the child decides: after a compensated child, the pivot
        did not happen; after a completed child, the pivot is done.

        Raises:
            RejectedError: The child failed, and has compensated; `kind` has the kind of the failure.
            UnknownOutcomeError: The outcome of a step before the pivot is unknown.
        """
        call = self._forward.pivot_child(run, message, name=name, task_queue=task_queue)
        return self._track("pivot_child", name, call)

    def child(
        self,
        run: Callable[[Any, I], Awaitable[O]],
        message: I,
        /,
        *,
        name: str,
        task_queue: str | None = None,
    ) -> Coroutine[object, None, O]:
        """Runs another saga as a child; the child stays compensatable until the root of this saga closes.

        Args:
            run: The run method of the child's workflow class.
            message: The child's input.
            name: The name of the child within this saga, in lower case with dashes; the child's workflow id
                is this saga's id, `/`, and the name.
            task_queue: The task queue of the child's workers, also for the child's compensations; by default
                this saga's.

        Raises:
            RejectedError: The child failed, and has compensated; `kind` has the kind of the failure.
        """
        call = self._forward.child(run, message, name=name, task_queue=task_queue)
        return self._track("child", name, call)

    def independent(
        self,
        run: Callable[[Any, I], Awaitable[O]],
        message: I,
        /,
        *,
        name: str,
        task_queue: str | None = None,
    ) -> Coroutine[object, None, SagaOutcome[O]]:
        """Runs another saga as a transaction of its own, and returns the outcome: partial fulfilment.

        The independent saga may have a pivot. This saga never compensates a completed independent saga: the
        effects are among the remaining effects of this saga. A failed one is a value, and fails nothing here.

        - Before the pivot of this saga, a cancel is passed on, and this saga waits until the independent saga
          has compensated or completed. After the pivot, no cancel is passed on, and a hold never is.
        - The independent saga goes on when this saga is terminated. A rescue leaves the independent saga
          alone; its own id takes all verbs, also `rescue`.

        Parallel branches, and code after the pivot, may run independent sagas.

        Args:
            run: The run method of the workflow class of the saga.
            message: The input of the saga.
            name: The name within this saga, in lower case with dashes; the workflow id is this saga's id,
                `/`, and the name. A second independent saga of the name has the address `name#2`.
            task_queue: The task queue of the workers; by default this saga's.

        Returns:
            The outcome by the end of the workflow: `Completed` with the result, also where a person resolved
            a step after the pivot; `Compensated`, `Settled`, or `CutOff` after a termination.

        Raises:
            RejectedError: Another workflow has the id, or the message cannot be sent; nothing was started.
            UnknownOutcomeError: The saga completed with a result of another type; the effects stay.
            DefinitionError: The call is made in a section, or the name is malformed.
        """
        call = self._forward.independent(run, message, name=name, task_queue=task_queue)
        return self._track("independent", name, call)

    @overload
    def parallel(
        self, b1: Coroutine[object, None, T1], /, *, limit: int | None = ..., on_failure: OnFailure = ...
    ) -> Coroutine[object, None, tuple[T1]]: ...
    @overload
    def parallel(
        self,
        b1: Coroutine[object, None, T1],
        b2: Coroutine[object, None, T2],
        /,
        *,
        limit: int | None = ...,
        on_failure: OnFailure = ...,
    ) -> Coroutine[object, None, tuple[T1, T2]]: ...
    @overload
    def parallel(
        self,
        b1: Coroutine[object, None, T1],
        b2: Coroutine[object, None, T2],
        b3: Coroutine[object, None, T3],
        /,
        *,
        limit: int | None = ...,
        on_failure: OnFailure = ...,
    ) -> Coroutine[object, None, tuple[T1, T2, T3]]: ...
    @overload
    def parallel(
        self,
        b1: Coroutine[object, None, T1],
        b2: Coroutine[object, None, T2],
        b3: Coroutine[object, None, T3],
        b4: Coroutine[object, None, T4],
        /,
        *,
        limit: int | None = ...,
        on_failure: OnFailure = ...,
    ) -> Coroutine[object, None, tuple[T1, T2, T3, T4]]: ...
    @overload
    def parallel(
        self,
        *branches: Coroutine[object, None, T],
        limit: int | None = ...,
        on_failure: OnFailure = ...,
    ) -> Coroutine[object, None, tuple[T, ...]]: ...
    def parallel(
        self,
        *branches: Coroutine[object, None, object],
        limit: int | None = None,
        on_failure: OnFailure = OnFailure.FINISH,
    ) -> Coroutine[object, None, tuple[Any, ...]]:
        """Runs branches at the same time, and returns the results in the order of the arguments.

        A branch is a call without an await: a step, a child, or a coroutine of your own with several steps or
        children. The branches begin in the order of the arguments, also in replay. `asyncio.gather` keeps the
        order too, but does not end the other branches when a branch fails; `asyncio.TaskGroup` cancels in no
        certain order, which breaks replay.

        Args:
            branches: Coroutines.
            limit: The most branches at once, by default all. The others begin in the order of the arguments,
                each when a branch has ended.
            on_failure: Whether the other branches are cancelled when a branch fails, and waiting branches
                never begin. In either case every branch ends before this call returns or raises, and before
                any compensation.

        Raises:
            Exception: The first failure, with up to ten other failures as notes.
            DefinitionError: A branch is not a coroutine, or the limit is below 1.
        """
        return self._track("parallel", "", self._parallel(branches, limit, on_failure))

    def map(
        self,
        step: Step[I, O] | Action[I, O],
        items: Iterable[I],
        /,
        *,
        key: Callable[[I], str],
        limit: int | None = None,
        on_failure: OnFailure = OnFailure.FINISH,
    ) -> Coroutine[object, None, tuple[O, ...]]:
        """Runs a step for each item at the same time, and returns the results in the order of the items.

        Like `parallel` over `step` calls with keys: the step of the item `7a` has the address
        `reserve-seat[7a]`, and every step ends before the call returns or raises. A failed saga compensates
        one step after the other, newest first; with a section around the call, all at once::

            async with saga.section("seats", order=CompensationOrder.PARALLEL):
                await saga.map(reserve, seats, key=lambda seat: seat.number, limit=20)

        Args:
            step: A step; after the pivot also a bare action.
            items: The messages of the action, in an order that each replay repeats.
            key: Returns the key of an item, as in `step`; two items of a call have different keys.
            limit: The most steps at once; by default 250, the most activities of a saga that run at once.
            on_failure: Whether the other steps are cancelled when a step fails, and waiting steps never
                begin.

        Raises:
            RejectedError: The participant rejected an action; the first failure is raised, with up to ten
                other failures as notes.
            UnknownOutcomeError: All attempts of an action have failed, and the action may have happened.
            DefinitionError: A key is malformed or repeated, the items are a set, or the limit is below 1; no
                step has begun. Or the step is irreversible or a bare action before the pivot.
        """
        return self._track("map", step, self._map(step, items, key, limit, on_failure))

    def first_of(
        self,
        *alternatives: Coroutine[object, None, T],
        after: timedelta | None = None,
        hedged: bool = False,
    ) -> Coroutine[object, None, T]:
        """Runs alternatives until the first answer, and returns the answer.

        The next alternative starts when the current alternative fails, or has not answered `after` a time.
        An overdue alternative is cancelled; with `hedged`, the overdue alternative goes on, and may still
        win. Of several answers in one workflow task, the first in the history wins.

        Each alternative is a section. Every other alternative than the winner is compensated in any case, and
        in the background: the saga goes on at once, also past the pivot. The saga does not end before every
        lost alternative is known and compensated, and is stuck while a compensation keeps failing.

        Args:
            alternatives: Calls without an await: steps, children, or coroutines of your own with several
                steps; all return the same type.
            after: The time after which the next alternative starts; by default only a failure starts the next
                alternative. The last alternative has no time limit. Each alternative with a time limit costs
                one timer.
            hedged: Whether an overdue alternative may still win.

        Raises:
            Exception: The first failure, with the other failures as notes, if all alternatives have failed.
            DefinitionError: An argument is not a coroutine, `after` is not a timedelta above 0, or the saga
                is past the pivot.
        """
        if after is not None:
            check_positive_duration("after", after)
        self._unawaited.forget(alternatives)
        call = self._first_of.run(alternatives, after, is_hedged=hedged)
        return self._track("first_of", "", call)

    def section(
        self,
        name: str,
        /,
        *,
        order: CompensationOrder = CompensationOrder.REVERSE,
        timeout: timedelta | None = None,
    ) -> Section:
        """Groups steps that are compensated as a unit: a savepoint, to which the saga can return.

        A failed section lets the saga go another way::

            try:
                async with saga.section("maple"):
                    await saga.step(book, maple)
                    await saga.step(insure, maple)
            except SectionCompensatedError:
                await saga.step(book, oak)

        - An error that leaves the section compensates the steps of the section, and raises
          `SectionCompensatedError`. While the section compensates, the saga is running, or stuck if a
          compensation keeps failing. A cancel of the saga meanwhile lets the section finish, and then
          compensates the saga.
        - A completed section is compensated as a unit with the saga, or earlier by `Section.compensate`.
        - A bug passes through a section uncompensated, and a section contains no pivot.

        Sections may be nested, and a parallel branch may contain a section. A section adds no event to the
        history beyond the events of the steps; `timeout` costs one timer.

        Args:
            name: In lower case with dashes: `maple`; a second section of the name has the address `maple#2`.
            order: The order of the compensations of the section.
            timeout: The longest duration of the section. After the timeout the section compensates; the code
                of the `SectionCompensatedError` is `deadline_exceeded`.

        Raises:
            DefinitionError: The name is malformed, `timeout` is not a timedelta above 0, or the section
                begins after the pivot.
        """
        check_name("section", name)
        if timeout is not None:
            check_positive_duration("timeout", timeout)
        check_forward(self._scope)
        spec = SectionSpec(address=self._scope.ledger.next_address(name), order=order)
        return Section(self._scope, self._units, spec, timeout)

    def compensate_step(self, address: str, /) -> Coroutine[object, None, None]:
        """Compensates a step or child now, and no second time later; the saga goes on afterwards.

        While the compensation keeps failing, the saga is stuck. A step that is done again afterwards has a
        new address and a new idempotency key.

        Args:
            address: The address of the step or child: the name, and `reserve-stock#2` for the second time.

        Raises:
            DefinitionError: The saga has no such step, the step has no pending compensation, or the saga is
                past the pivot.
        """
        return self._track("compensate_step", address, self._units.compensate_step(address))

    def forget_step(self, address: str, /, *, because: str) -> None:
        """Drops the pending compensation of a step that is done: the effect stays, whatever the saga does.

        For an effect that another party has taken over. The step is one of the remaining effects of the saga,
        and the reason is in the audit trail. The call writes one event.

        Args:
            address: The address of the step or child.
            because: The reason, for readers of the audit trail.

        Raises:
            DefinitionError: The step is not done, the step has no pending compensation, the saga is past the
                pivot, or the reason is empty.
        """
        check_text("because", because)
        check_forward(self._scope)
        self._units.forget(address, because)

    def expect(self, name: str, message: type[T], /) -> ExpectedEvent[T]:
        """Opens a slot for an external event; the event may arrive before the saga waits for the event.

        The event arrives as a signal or an update called `name`.

        Args:
            name: In lower case with dashes: `payment-cleared`.
            message: The type of the event's data.
        """
        return self._events.expect(name, message)

    def wait_for(
        self, expected: ExpectedEvent[T], /, *, timeout: timedelta = YEAR
    ) -> Coroutine[object, None, T]:
        """Waits for an external event and returns the event's data; several events are returned in order.

        A late event is kept for the next wait, and reported in the saga's details and the log; a late update
        is refused, so that the sender knows. The same holds for an event while the saga compensates or after
        the saga has ended. An event without a wait is reported at the end. A message of another type is
        ignored, and reported.

        Args:
            expected: The event, created by `expect`.
            timeout: The longest wait; a timer of the server, by default a year.

        Raises:
            DeadlineExceededError: The event did not come in time.
            DefinitionError: `timeout` is not a timedelta.
        """
        return self._track("wait_for", expected, self._wait_for(expected, timeout))

    def approval(
        self, name: str, /, *, role: str, timeout: timedelta = YEAR
    ) -> Coroutine[object, None, ApprovalDecision]:
        """Waits until a person approves the saga with `sagas approve`.

        Args:
            name: The name of the decision, in lower case with dashes: `large-order`.
            role: The role that the person must have.
            timeout: The longest wait, by default a year.

        Raises:
            RejectedError: The person decided against the saga; the code is `not_approved`.
            DeadlineExceededError: The decision did not come in time.
            DefinitionError: `timeout` is not a timedelta.
        """
        return self._track("approval", name, self._approval(name, role, timeout))

    def after_compensation(self, step: Step[I, O] | Action[I, O], message: I, /) -> None:
        """Runs a step after all compensations, for example a notice to the customer.

        Only the root of a family of sagas runs the step. A failure of the step is logged and changes no
        outcome.

        Args:
            step: A bare action; the compensation of a step is not used.
            message: The message of the action.

        Raises:
            DefinitionError: The argument is neither an action nor a step.
        """
        check_step(step)
        if not self._context.is_child:
            self._compensation.add_after_compensation(step, message)

    def continue_as_new(self, state: object, /) -> Coroutine[object, None, NoReturn]:
        """Goes on in a new run with a short history: the workflow starts again, with `state` as the input.

        The saga's own state goes along: ledger, deadline, and received events. Call this method between steps
        of a saga with a long history, when `temporalio.workflow.info()` suggests to continue as new. The call
        waits as long as the saga is held, and for steps of handlers and of your own tasks.

        Raises:
            DefinitionError: A branch makes the call, or the workflow does not take `state` as the input.
            SagaError: The handler of an update makes the call, or state and ledger have more than 1 MiB.
            asyncio.CancelledError: The saga compensates.
        """
        return self._track("continue_as_new", "", self._continue_as_new(state))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            try:
                await self._forward.end()
                self._refuse_oversized_compensations()
                await self._confirm()
            except (asyncio.CancelledError, SagaError) as failure:
                error = failure
        if error is None:
            self._complete()
            return
        # An eviction or continue-as-new is no end of the saga: no code of the saga may run.
        if not isinstance(error, (Exception, asyncio.CancelledError)):
            return
        if self._scope.lifecycle.is_past_pivot:
            self._refuse_to_fail(error)
        await fail_task_for_bug(error)
        if isinstance(error, Exception):
            error = first_error_of(error)
        was_cancelled = workflow.cancellation_reason() is not None
        if not isinstance(error, (asyncio.CancelledError, SagaError, FailureError)):
            # The error is unexpected, and would only be visible in the failure of the workflow.
            workflow.logger.error(
                "the saga compensates because of %s: %s",
                wire_type_of(error),
                error_text(error),
                exc_info=reportable(error),
            )
        self._events.report_unconsumed()
        self._scope.lifecycle.begin_compensation()
        await run_uncancelled(self._compensation.run())
        self._compensation.raise_final(error, was_cancelled=was_cancelled)

    def _track(
        self, method: str, argument: object, call: Coroutine[object, None, T]
    ) -> Coroutine[object, None, T]:
        return self._unawaited.track(name_of_call(method, argument), call)

    async def _step(self, step: Step[I, O] | Action[I, O], message: I, key: str | None) -> O:
        check_step(step)
        check_key(step, key)
        return await self._forward.step(step, message, key)

    async def _best_effort(self, step: Step[I, O] | Action[I, O], message: I, key: str | None) -> O | None:
        check_step(step)
        check_key(step, key)
        return await self._forward.best_effort(step, message, key)

    async def _parallel(
        self, branches: Sequence[Coroutine[object, None, object]], limit: int | None, on_failure: OnFailure
    ) -> tuple[Any, ...]:
        # A branch that waits for its turn is not forgotten: a step of a handler may pass the pivot meanwhile.
        self._unawaited.forget(branches)
        return await run_parallel(branches, self._scope, on_failure, limit)

    async def _map(
        self,
        step: Step[I, O] | Action[I, O],
        items: Iterable[I],
        key: Callable[[I], str],
        limit: int | None,
        on_failure: OnFailure,
    ) -> tuple[O, ...]:
        check_step(step)
        messages = items_of(step, items)
        keys = keys_of_items(step, messages, key)
        calls = [
            self._forward.step(step, message, each) for message, each in zip(messages, keys, strict=True)
        ]
        most = MOST_UNDER_WAY if limit is None else limit
        return await run_parallel(calls, self._scope, on_failure, most)

    async def _pivot(self, action: Action[I, O] | IrreversibleStep[I, O], message: I) -> O:
        check_pivot(action)
        return await self._forward.pivot(action, message)

    async def _wait_for(self, expected: ExpectedEvent[T], timeout: timedelta) -> T:
        check_expected(expected)
        check_duration("timeout", timeout)
        await wait_until_forward(self._scope)
        message = await self._events.wait(expected, timeout)
        check_forward(self._scope)
        return message

    async def _approval(self, name: str, role: str, timeout: timedelta) -> ApprovalDecision:
        check_duration("timeout", timeout)
        await wait_until_forward(self._scope)
        decision = await self._approvals.wait(name, role, timeout)
        check_forward(self._scope)
        return decision

    async def _continue_as_new(self, state: object) -> NoReturn:
        if workflow.current_update_info() is not None:
            raise SagaError("a saga does not continue as new in the handler of an update")
        self._forward.refuse_in_section("a saga continues as new between sections")
        await self._forward.wait_for_other_steps()
        await self._forward.wait_for_lost_alternatives()
        self._forward.refuse_in_branch("a saga continues as new between steps")
        scope = self._scope
        continue_as_new(
            state,
            ContinuedState(
                ledger=LedgerSnapshot.of(scope.ledger, scope.lifecycle.phase),
                started_at=scope.publisher.started_at,
                published_status=scope.publisher.published,
                after_compensation=tuple(self._compensation.after_compensation),
                manual_resolutions=scope.lifecycle.resolutions,
                audit_trail=tuple(scope.audit_trail),
                unconsumed_events=self._events.unconsumed,
                expired_waits=self._events.expired_waits,
                deadline=self._deadline,
            ),
        )

    async def _confirm(self) -> None:
        """Runs the confirmations of a root; a child hands the confirmations to the root."""
        if self._context.is_child:
            return
        while self._scope.ledger.confirmations():
            self._scope.lifecycle.begin_confirmation()
            await run_uncancelled(ConfirmationLoop(self._scope, self._retry_loop).run())
            # The handler of a message may have run a further step meanwhile.
            await self._forward.end()

    def _complete(self) -> None:
        self._events.report_unconsumed()
        self._scope.lifecycle.complete()
        self._deadline = None
        self._scope.publish()
        self._publication = asyncio.create_task(self._publish_if_the_workflow_goes_on())

    async def _publish_if_the_workflow_goes_on(self) -> None:
        """Writes the end of the block into the history: a rescue must not compensate effects that stay."""
        # Conditions are evaluated when every ready task has run. Twice, because the workflow may wait for a
        # condition that is true already, for example the end of all handlers.
        for _ in range(2):
            await workflow.wait_condition(lambda: True)
        if not self._context.has_returned:
            self._scope.publisher.write()

    def _refuse_to_fail(self, error: BaseException) -> NoReturn:
        """Fails the workflow task: an error after the pivot is a bug, to be fixed in the workflow's code."""
        self._scope.lifecycle.abort()
        raise DefinitionError(
            f"{wire_type_of(error)} was raised after the pivot, where a saga only goes forward: "
            f"{error_text(error)}"
        ) from trimmed_cause(error)

    def _refuse_oversized_compensations(self) -> None:
        """Fails a child whose pending compensations are too large for the report to the parent."""
        lifecycle, ledger = self._scope.lifecycle, self._scope.ledger
        if not self._context.is_child:
            return
        plan = (*ledger.plan(is_past_pivot=lifecycle.is_past_pivot), *ledger.confirmations())
        refusal = encode_arguments([plan], "the list of its pending compensations")
        if isinstance(refusal, ActivityOutcome):
            raise RejectedError(refusal.code, refusal.reason)

    async def _compensate_after(self, timeout: timedelta) -> None:
        if timeout > timedelta(0):
            await workflow.sleep(timeout, summary=DEADLINE)
        if self._deadline is not None:
            self._scope.request_compensation(DeadlineExceededError("the saga"))


def _refuse_unsafe_start() -> None:
    """Refuses workflows that the server would end or repeat without the saga's compensations.

    Raises:
        ApplicationError: The workflow has a cron schedule, a retry policy, or an execution or run timeout.
    """
    info = workflow.info()
    refusal = ""
    if info.cron_schedule:
        refusal = "all runs of a cron schedule have the same keys: start each saga with an id of its own"
    elif info.retry_policy:
        refusal = (
            "a retry of the workflow would begin its saga anew with the keys of the run before: start it "
            "without a retry policy"
        )
    elif info.execution_timeout or info.run_timeout:
        refusal = "an execution or run timeout ends a saga without its compensations: start it without one"
    if refusal:
        raise ApplicationError(refusal, type=SAGA_REFUSED, non_retryable=True)
