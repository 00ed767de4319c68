"""Actions and steps as data: the declarations of a saga's author."""

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast, overload

from .._core.activity_policy import ACTION_POLICY, COMPENSATION_POLICY
from .._core.compensation import CompensationSpec, ConfirmationSpec
from .._core.effect_class import EffectClass
from .._errors import DefinitionError
from .activity_function import ActivityFunction
from .activity_options import ActivityOptions, policy_of
from .activity_spec import ActivitySpec, Judgement, check_judgement
from .data_access import DataAccess
from .names import check_name
from .operation import Operation
from .option_checks import check_names, refusal
from .probe_result import ProbeResult
from .step_signatures import answer_to_action, check_action, probe_spec

I = TypeVar("I")  # noqa: E741 - the input of an action; the mirror of O
O = TypeVar("O")  # noqa: E741 - the output
O_co = TypeVar("O_co", covariant=True)
S = TypeVar("S")

DEFAULT_OPTIONS = ActivityOptions()
NO_DATA_ACCESS = DataAccess()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Generic[I, O]):
    """An action, made by `action(...)`; with an effect class, the action is a `Step`.

    A bare action is a pivot, a step after the pivot, a best-effort step or a step after the compensation. A
    step before the pivot has an effect class: `compensated_by` or `read_only`.
    """

    name: str
    call: ActivitySpec
    data: DataAccess = NO_DATA_ACCESS

    def compensated_by(
        self,
        compensation: Operation[I, object] | Callable[[I], object] | Callable[[I, O | None], object],
        /,
        *,
        options: ActivityOptions = DEFAULT_OPTIONS,
    ) -> "Step[I, O]":
        """The step of this action and its compensation.

        Args:
            compensation: An operation or an activity with the same message as the action. An activity with a
                second parameter also gets the result of the action, or `None` if the result is unknown.
            options: Timeouts, retries, priority and task queue of the compensation. The workflow repeats a
                failed compensation in rounds of `maximum_attempts`, until the compensation is done.

        Raises:
            DefinitionError: The compensation is not an activity, or has other parameters.
        """
        return _step(self, compensation, options, is_method=False)

    def confirmed_by(
        self,
        confirmation: Operation[I, object] | Callable[[I], object] | Callable[[I, O], object],
        /,
        *,
        options: ActivityOptions = DEFAULT_OPTIONS,
    ) -> "ConfirmableAction[I, O]":
        """This action with a confirmation, for reservations (try, confirm, cancel).

        The root saga runs the confirmations at the end of the block, in the order of the start of the steps.
        The start of the first confirmation is a pivot: no cancel passes the start, and a confirmation is
        repeated until done. A confirmation that is rejected for good makes the saga stuck.

        Args:
            confirmation: An operation or an activity with the same message and the same idempotency key as
                the action. An activity with a second parameter also gets the result of the action.
            options: Timeouts, retries, priority and task queue of the confirmation. The workflow repeats a
                failed confirmation in rounds of `maximum_attempts`, until the confirmation is done.

        Raises:
            DefinitionError: The confirmation is not an activity, or has other parameters.
        """
        return ConfirmableAction(
            action=self, confirmation=_confirmation(self, confirmation, options, is_method=False)
        )

    def read_only(self) -> "Step[I, O]":
        """The step of this action, which has no effect.

        A read-only step is never compensated, and never listed under the remaining effects. A saga may go on
        after an unknown outcome of a read-only step, and complete.
        """
        return Step(name=self.name, call=self.call, data=self.data, effect=EffectClass.READ_ONLY)

    def irreversible(self) -> "IrreversibleStep[I, O]":
        """The step of this action, whose effect no compensation undoes.

        An irreversible step is the pivot, comes after the pivot, is a best-effort step, or runs after the
        compensation. Before the pivot, `Saga.step` refuses the step before the action is sent.
        """
        return IrreversibleStep(name=self.name, call=self.call, data=self.data)


class _MethodAction(Action[I, O], Generic[S, I, O]):
    """An action whose activity is a method: a method of the same class may compensate the action."""

    __slots__ = ()

    def compensated_by(
        self,
        compensation: Operation[I, object]
        | Callable[[I], object]
        | Callable[[I, O | None], object]
        | Callable[[S, I], object]
        | Callable[[S, I, O | None], object],
        /,
        *,
        options: ActivityOptions = DEFAULT_OPTIONS,
    ) -> "Step[I, O]":
        """The step of this action and its compensation; see `Action.compensated_by`."""
        return _step(self, compensation, options, is_method=True)

    def confirmed_by(
        self,
        confirmation: Operation[I, object]
        | Callable[[I], object]
        | Callable[[I, O], object]
        | Callable[[S, I], object]
        | Callable[[S, I, O], object],
        /,
        *,
        options: ActivityOptions = DEFAULT_OPTIONS,
    ) -> "_ConfirmableMethodAction[S, I, O]":
        """This action with a confirmation; see `Action.confirmed_by`."""
        return _ConfirmableMethodAction(
            action=self, confirmation=_confirmation(self, confirmation, options, is_method=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmableAction(Generic[I, O]):
    """An action with a confirmation, made by `action(...).confirmed_by(...)`; not yet a step.

    A reservation that can be confirmed can also be cancelled: `compensated_by` makes the step.
    """

    action: Action[I, O]
    confirmation: ConfirmationSpec

    def compensated_by(
        self,
        compensation: Operation[I, object] | Callable[[I], object] | Callable[[I, O | None], object],
        /,
        *,
        options: ActivityOptions = DEFAULT_OPTIONS,
    ) -> "Step[I, O]":
        """The step of the action, the confirmation and the compensation; see `Action.compensated_by`."""
        step = _step(self.action, compensation, options, is_method=False)
        return replace(step, confirmation=self.confirmation)


class _ConfirmableMethodAction(ConfirmableAction[I, O], Generic[S, I, O]):
    """A confirmable action whose activity is a method: a method of the same class may compensate."""

    __slots__ = ()

    def compensated_by(
        self,
        compensation: Operation[I, object]
        | Callable[[I], object]
        | Callable[[I, O | None], object]
        | Callable[[S, I], object]
        | Callable[[S, I, O | None], object],
        /,
        *,
        options: ActivityOptions = DEFAULT_OPTIONS,
    ) -> "Step[I, O]":
        """The step of the action, the confirmation and the compensation; see `Action.compensated_by`."""
        step = _step(self.action, compensation, options, is_method=True)
        return replace(step, confirmation=self.confirmation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[I, O_co]):
    """An action with an effect class, made by a method of the action, for example `compensated_by`."""

    name: str
    call: ActivitySpec
    data: DataAccess = NO_DATA_ACCESS
    compensation: CompensationSpec | None = None
    effect: EffectClass = EffectClass.COMPENSATABLE
    confirmation: ConfirmationSpec | None = None

    @property
    def is_read_only(self) -> bool:
        """Whether the action has no effect."""
        return self.effect is EffectClass.READ_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class IrreversibleStep(Step[I, O_co], Generic[I, O_co]):
    """An action whose effect no compensation undoes, made by `action(...).irreversible()`."""

    effect: EffectClass = EffectClass.IRREVERSIBLE


@overload
def action(
    operation: Operation[I, O],
    /,
    *,
    options: ActivityOptions = ...,
    probe: Operation[I, ProbeResult[O]] | None = ...,
    rejected_when: Callable[[O], bool | str | None] | None = ...,
    data: DataAccess = ...,
) -> Action[I, O]: ...
@overload
def action(
    function: Callable[[I], Awaitable[O]],
    /,
    *,
    name: str | None = ...,
    options: ActivityOptions = ...,
    rejections: AbstractSet[str] = ...,
    probe: Callable[[I], Awaitable[ProbeResult[O]]] | None = ...,
    rejected_when: Callable[[O], bool | str | None] | None = ...,
    data: DataAccess = ...,
) -> Action[I, O]: ...
@overload
def action(
    function: Callable[[I], O],
    /,
    *,
    name: str | None = ...,
    options: ActivityOptions = ...,
    rejections: AbstractSet[str] = ...,
    probe: Callable[[I], ProbeResult[O]] | None = ...,
    rejected_when: Callable[[O], bool | str | None] | None = ...,
    data: DataAccess = ...,
) -> Action[I, O]: ...
@overload
def action(
    method: Callable[[S, I], Awaitable[O]],
    /,
    *,
    name: str | None = ...,
    options: ActivityOptions = ...,
    rejections: AbstractSet[str] = ...,
    probe: Callable[[S, I], Awaitable[ProbeResult[O]]] | None = ...,
    rejected_when: Callable[[O], bool | str | None] | None = ...,
    data: DataAccess = ...,
) -> _MethodAction[S, I, O]: ...
@overload
def action(
    method: Callable[[S, I], O],
    /,
    *,
    name: str | None = ...,
    options: ActivityOptions = ...,
    rejections: AbstractSet[str] = ...,
    probe: Callable[[S, I], ProbeResult[O]] | None = ...,
    rejected_when: Callable[[O], bool | str | None] | None = ...,
    data: DataAccess = ...,
) -> _MethodAction[S, I, O]: ...
def action(  # noqa: PLR0913 - each option of an action is a parameter
    activity: Operation[I, O] | Callable[..., object],
    /,
    *,
    name: str | None = None,
    options: ActivityOptions = DEFAULT_OPTIONS,
    rejections: AbstractSet[str] = frozenset(),
    probe: Operation[Any, Any] | Callable[..., object] | None = None,
    rejected_when: Judgement | None = None,
    data: DataAccess = NO_DATA_ACCESS,
) -> Action[Any, Any]:
    """Declares an action.

    Args:
        activity: An operation of a participant, or an activity of your own: a function or a method with
            `@activity.defn` and one parameter, the message. A method is given as `Class.method`.
        name: The name of the step, in lower case with dashes; by default the name of the activity. An
            operation has a name of its own.
        options: Timeouts, retries, priority and task queue of the action.
        rejections: The types of application errors that reject the action, besides `RejectedError`; none of
            them is attempted again. An operation declares its rejections itself.
        probe: An operation or an activity with the same message, which returns the outcome of the action as a
            `ProbeResult`. An unknown outcome is resolved by the probe, with the options and the idempotency
            key of the action.
        rejected_when: A function of the result, for participants that answer a refusal as an ordinary result:
            returns the code of the rejection, or `True` for the code `rejected`; `False` or `None` if the
            action is done. The function runs in the workflow, and must neither block nor do I/O. A new
            function changes what an open saga does: an open saga needs `workflow.patched`.
        data: The names of the data that the step reads and writes.

    Raises:
        DefinitionError: `activity` or `probe` is not an activity, the number of parameters is not 1, the name
            is malformed, or an option has a wrong type.
    """
    policy = policy_of(options, ACTION_POLICY)
    check_judgement(rejected_when)
    if not isinstance(data, DataAccess):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise refusal("data", "a DataAccess", data)
    asked = None if probe is None else probe_spec(probe, policy, options.task_queue)
    is_method = False
    if isinstance(activity, Operation):
        operation = cast("Operation[Any, object]", activity)
        if name is not None or rejections:
            raise DefinitionError(f"operation {operation.name!r} declares its own name and rejections")
        called, result, name, rejections = (
            operation.name,
            operation.result,
            operation.name,
            operation.rejections,
        )
    else:
        function = ActivityFunction.of(activity)
        called, result, is_method = function.activity, function.result, check_action(function)
    step = called.replace("_", "-").lower() if name is None else name
    check_name("step", step, "such as 'reserve-stock': give name=")
    spec = ActivitySpec(
        activity=called,
        result=result,
        policy=policy,
        rejections=check_names("rejections", rejections),
        task_queue=options.task_queue,
        probe=asked,
        rejected_when=rejected_when,
    )
    if is_method:
        of_method: _MethodAction[Any, Any, Any] = _MethodAction(name=step, call=spec, data=data)
        return of_method
    return Action(name=step, call=spec, data=data)


def _step(
    action: Action[I, O],
    compensation: Operation[I, object] | Callable[..., object],
    options: ActivityOptions,
    *,
    is_method: bool,
) -> Step[I, O]:
    policy = policy_of(options, COMPENSATION_POLICY)
    activity, takes_result = answer_to_action(compensation, "compensation", is_of_method=is_method)
    return Step(
        name=action.name,
        call=action.call,
        data=action.data,
        compensation=CompensationSpec(
            activity=activity,
            takes_result=takes_result,
            task_queue=options.task_queue or action.call.task_queue,
            policy=policy,
        ),
    )


def _confirmation(
    action: Action[I, O],
    confirmation: Operation[I, object] | Callable[..., object],
    options: ActivityOptions,
    *,
    is_method: bool,
) -> ConfirmationSpec:
    policy = policy_of(options, COMPENSATION_POLICY)
    activity, takes_result = answer_to_action(confirmation, "confirmation", is_of_method=is_method)
    return ConfirmationSpec(
        activity=activity,
        takes_result=takes_result,
        task_queue=options.task_queue or action.call.task_queue,
        policy=policy,
    )
