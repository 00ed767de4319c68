"""Steps as data: an action, and what makes up for it."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from inspect import ismethod, signature
from typing import Any, Generic, TypeVar, cast, overload

from temporalio.activity import _Definition as ActivityDefinition  # pyright: ignore[reportPrivateUsage]

from .._core.activity_policy import ACTION, COMPENSATION, ActivityPolicy
from .._errors import DefinitionError
from .activity_spec import NO_STEP_DATA, ActivitySpec, StepData
from .operation import NAME, Operation
from .probe_result import ProbeResult

I = TypeVar("I")  # noqa: E741 - what goes in; the mirror of O
O = TypeVar("O")  # noqa: E741 - what comes out
O_co = TypeVar("O_co", covariant=True)
S = TypeVar("S")

UNTYPED = cast("type[object]", Any)
"""The type of a result that its activity does not declare: it is read as it is, as Temporal does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action(Generic[I, O]):
    """What a step does; with its compensation, or the reason why it needs none, it becomes a step.

    On its own it can only be the pivot of a saga.
    """

    name: str
    call: ActivitySpec
    data: StepData = NO_STEP_DATA

    def compensated_by(
        self,
        compensation: Operation[I, object] | Callable[[I], object] | Callable[[I, O | None], object],
        /,
        *,
        policy: ActivityPolicy = COMPENSATION,
        task_queue: str | None = None,
    ) -> "Step[I, O]":
        """The step whose action is made up for by `compensation`.

        Args:
            compensation: Takes what the action took. If it declares a second parameter, it also gets the
                action's result, or `None` when the outcome is unknown.
            policy: How it is tried; after a round of `attempts` the saga says that it is stuck, and goes on
                trying.
            task_queue: Where its workers listen; by default where those of the action do.
        """
        return Step(
            name=self.name,
            call=self.call,
            data=self.data,
            compensation=_compensation(compensation, policy, task_queue or self.call.task_queue, 1),
        )

    def without_compensation(self, *, because: str) -> "Step[I, O]":
        """The step that is not made up for, with the reason why that is right."""
        return Step(name=self.name, call=self.call, data=self.data, because=_reason(self.name, because))


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodAction(Generic[S, I, O]):
    """An action that is a method of a class of activities; see `Action`."""

    name: str
    call: ActivitySpec
    data: StepData = NO_STEP_DATA

    def compensated_by(
        self,
        compensation: Callable[[S, I], object] | Callable[[S, I, O | None], object],
        /,
        *,
        policy: ActivityPolicy = COMPENSATION,
        task_queue: str | None = None,
    ) -> "Step[I, O]":
        """The step whose action is made up for by `compensation`; see `Action.compensated_by`."""
        return Step(
            name=self.name,
            call=self.call,
            data=self.data,
            compensation=_compensation(compensation, policy, task_queue or self.call.task_queue, 2),
        )

    def without_compensation(self, *, because: str) -> "Step[I, O]":
        """The step that is not made up for, with the reason why that is right."""
        return Step(name=self.name, call=self.call, data=self.data, because=_reason(self.name, because))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredCompensation:
    """The compensation of a step, before there is anything to make up for."""

    call: ActivitySpec
    takes_result: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[I, O_co]):
    """An action and its compensation, declared once; made by `action(...)`."""

    name: str
    call: ActivitySpec
    data: StepData = NO_STEP_DATA
    compensation: DeclaredCompensation | None = None
    because: str | None = None


@overload
def action(
    operation: Operation[I, O],
    /,
    *,
    policy: ActivityPolicy = ...,
    task_queue: str | None = ...,
    probe: Operation[I, ProbeResult[O]] | None = ...,
    reads: Iterable[str] = ...,
    writes: Iterable[str] = ...,
) -> Action[I, O]: ...
@overload
def action(
    function: Callable[[I], Awaitable[O]],
    /,
    *,
    name: str | None = ...,
    policy: ActivityPolicy = ...,
    rejections: frozenset[str] = ...,
    task_queue: str | None = ...,
    probe: Callable[[I], Awaitable[ProbeResult[O]]] | None = ...,
    reads: Iterable[str] = ...,
    writes: Iterable[str] = ...,
) -> Action[I, O]: ...
@overload
def action(
    function: Callable[[I], O],
    /,
    *,
    name: str | None = ...,
    policy: ActivityPolicy = ...,
    rejections: frozenset[str] = ...,
    task_queue: str | None = ...,
    probe: Callable[[I], ProbeResult[O]] | None = ...,
    reads: Iterable[str] = ...,
    writes: Iterable[str] = ...,
) -> Action[I, O]: ...
@overload
def action(
    function: Callable[[S, I], Awaitable[O]],
    /,
    *,
    name: str | None = ...,
    policy: ActivityPolicy = ...,
    rejections: frozenset[str] = ...,
    task_queue: str | None = ...,
    probe: Callable[[S, I], Awaitable[ProbeResult[O]]] | None = ...,
    reads: Iterable[str] = ...,
    writes: Iterable[str] = ...,
) -> MethodAction[S, I, O]: ...
@overload
def action(
    function: Callable[[S, I], O],
    /,
    *,
    name: str | None = ...,
    policy: ActivityPolicy = ...,
    rejections: frozenset[str] = ...,
    task_queue: str | None = ...,
    probe: Callable[[S, I], ProbeResult[O]] | None = ...,
    reads: Iterable[str] = ...,
    writes: Iterable[str] = ...,
) -> MethodAction[S, I, O]: ...
def action(
    what: Operation[I, O] | Callable[..., object],
    /,
    *,
    name: str | None = None,
    policy: ActivityPolicy = ACTION,
    rejections: frozenset[str] = frozenset(),
    task_queue: str | None = None,
    probe: Operation[Any, Any] | Callable[..., object] | None = None,
    reads: Iterable[str] = (),
    writes: Iterable[str] = (),
) -> object:
    """Begins a step: what it does.

    Args:
        what: An operation of a participant, or an activity of your own: a function or method with
            `@activity.defn` and one parameter.
        name: Names the step, in lower case with dashes; by default the operation's name, or the
            activity's.
        policy: How long and how often the action is tried before its outcome is unknown.
        rejections: The types of application errors with which an activity of your own refuses for good.
            `RejectedError` always does. An operation declares its own.
        task_queue: Where its workers listen; by default where the saga's do.
        probe: Takes what the action takes, and says what became of it: a `ProbeResult`. It is asked when the
            outcome is unknown, with the same idempotency key.
        reads: The names of the data that the step reads; for people and tools, nothing is run by them.
        writes: The names of the data that it writes.

    Raises:
        DefinitionError: It is not an activity, has not one parameter, or its name is not well formed.
    """
    data = StepData(reads=frozenset(reads), writes=frozenset(writes))
    asks = None if probe is None else _probe(probe, policy, task_queue)
    if isinstance(what, Operation):
        operation = cast("Operation[Any, Any]", what)
        call = ActivitySpec(
            activity=operation.name,
            result=operation.result,
            policy=policy,
            rejections=operation.rejections,
            task_queue=task_queue,
            probe=asks,
        )
        of_operation: Action[Any, Any] = Action(name=operation.name, call=call, data=data)
        return of_operation
    definition = _definition_of(what)
    call = ActivitySpec(
        activity=str(definition.name),
        result=definition.ret_type or UNTYPED,
        policy=policy,
        rejections=rejections,
        task_queue=task_queue,
        probe=asks,
    )
    step = name or call.activity.replace("_", "-").lower()
    if not NAME.fullmatch(step):
        raise DefinitionError(f"step name {step!r} must be words in lower case joined by dashes; give name=")
    match len(signature(what).parameters):
        case 1:
            of_function: Action[I, O] = Action(name=step, call=call, data=data)
            return of_function
        case 2 if _is_of_class(what):
            of_method: MethodAction[object, I, O] = MethodAction(name=step, call=call, data=data)
            return of_method
        case count:
            raise DefinitionError(f"an action takes one message; {call.activity!r} has {count} parameters")


def _probe(
    what: Operation[Any, Any] | Callable[..., object], policy: ActivityPolicy, task_queue: str | None
) -> ActivitySpec:
    if isinstance(what, Operation):
        name = what.name
        result: object = what.result  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    else:
        definition = _definition_of(what)
        name, result = str(definition.name), definition.ret_type
    if not (isinstance(result, type) and issubclass(result, ProbeResult)):
        raise DefinitionError(f"probe {name!r} must return a `ProbeResult`, not {result!r}")
    return ActivitySpec(
        activity=name, result=cast("type[object]", result), policy=policy, task_queue=task_queue
    )


def _compensation(
    what: Operation[I, object] | Callable[..., object],
    policy: ActivityPolicy,
    task_queue: str | None,
    takes: int,
) -> DeclaredCompensation:
    if isinstance(what, Operation):
        call = ActivitySpec(activity=what.name, result=None, policy=policy, task_queue=task_queue)
        return DeclaredCompensation(call=call, takes_result=False)
    definition = _definition_of(what)
    count = len(signature(what).parameters)
    if count not in (takes, takes + 1):
        raise DefinitionError(
            f"compensation {definition.name!r} takes what its action took, and perhaps the action's result"
        )
    call = ActivitySpec(activity=str(definition.name), result=None, policy=policy, task_queue=task_queue)
    return DeclaredCompensation(call=call, takes_result=count > takes)


def _is_of_class(function: Callable[..., object]) -> bool:
    """Whether it is a method as its class has it; its worker gives it its instance."""
    if ismethod(function):
        return False
    _, owner, _ = f"..{getattr(function, '__qualname__', '')}".rsplit(".", 2)
    # A decorator may give a method the name of a function of its own.
    return owner not in ("", "<locals>") or "self" in signature(function).parameters


def _reason(name: str, because: str) -> str:
    if not because.strip():
        raise DefinitionError(f"step {name!r} has no compensation: say why it needs none")
    return because


def _definition_of(function: Callable[..., object]) -> ActivityDefinition:
    # Temporal types its decorated functions loosely.
    definition = ActivityDefinition.from_callable(function)  # pyright: ignore[reportUnknownMemberType]
    if definition is None or definition.name is None:
        raise DefinitionError(
            f"{getattr(function, '__qualname__', function)!r} is no activity: decorate it with @activity.defn"
        )
    return definition
