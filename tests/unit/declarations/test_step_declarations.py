"""Steps are values, and a badly written step is refused when the step is constructed."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from temporalio import activity
from temporalio.common import RawValue, RetryPolicy

from sagas import (
    Action,
    ActivityOptions,
    DataAccess,
    DefinitionError,
    IrreversibleStep,
    Operation,
    ProbeResult,
    Step,
    action,
)
from sagas._core.activity_policy import ActivityPolicy
from sagas._core.compensation import PendingCompensation
from sagas._core.effect_class import EffectClass


@activity.defn
async def book_seat(seat: str) -> int:
    return 7


@activity.defn
async def cancel_seat(seat: str) -> None: ...


@activity.defn(name="cancel-seat-knowing")
async def cancel_knowing(seat: str, number: int | None) -> None: ...


@activity.defn
async def no_message() -> None: ...


@activity.defn
async def three(a: str, b: str, c: str) -> None: ...


@activity.defn(name="Book Seat!")
async def oddly_named(seat: str) -> None: ...


@activity.defn(dynamic=True)
async def dynamic(args: Sequence[RawValue]) -> None: ...


@activity.defn
async def find_seat(seat: str) -> ProbeResult[int]:
    return ProbeResult(outcome="unknown")


@activity.defn
async def book_untyped(seat: str):  # type: ignore[no-untyped-def] # as many people write them
    return {"number": 7}


@activity.defn
async def book_two(seat: str, row: int) -> None: ...


class Cinema:
    """Activities that are methods."""

    @activity.defn
    async def book(self, seat: str) -> int:
        return 7

    @activity.defn
    async def cancel(self, seat: str, number: int | None) -> None: ...

    @activity.defn
    async def give_back(self, seat: str) -> None: ...

    @staticmethod
    @activity.defn
    async def cancel_statically(seat: str, number: int | None) -> None: ...

    @activity.defn
    async def book_row(self, seat: str, row: int) -> None: ...


async def no_activity(seat: str) -> None: ...


RESERVE: Operation[str, int] = Operation(
    name="reserve-seat", participant="cinema", message=str, result=int, rejections=frozenset({"sold_out"})
)
FIND = Operation(name="find-seat", participant="cinema", message=str, result=ProbeResult[int])
RELEASE: Operation[str, str] = Operation(name="release-seat", participant="cinema", message=str, result=str)
CINEMA = ActivityOptions(task_queue="cinema")


def test_action_of_an_activity_takes_the_name_and_the_result_type() -> None:
    """The name of the step is the name of the activity, in lower case with dashes."""
    book = action(book_seat)

    assert (book.name, book.call.activity, book.call.result) == ("book-seat", "book_seat", int)


def test_result_without_an_annotation_is_read_without_a_type() -> None:
    """As Temporal does; `-> None` declares that there is no result."""
    assert action(book_untyped).call.result is Any
    assert action(cancel_seat).call.result is type(None)


def test_action_of_an_operation_takes_the_contract() -> None:
    """Name, result and rejections are declared once."""
    step = action(RESERVE, options=CINEMA).compensated_by(RELEASE)

    assert (step.name, step.call.result) == ("reserve-seat", int)
    assert step.call.rejections == RESERVE.rejections
    assert step.compensation is not None
    assert (step.compensation.activity, step.compensation.takes_result) == ("release-seat", False)
    assert (step.call.task_queue, step.compensation.task_queue) == ("cinema", "cinema")


def test_compensation_with_a_second_parameter_takes_the_result() -> None:
    """The result of the action, or `None`."""
    plain = action(book_seat).compensated_by(cancel_seat).compensation
    knowing = action(book_seat).compensated_by(cancel_knowing).compensation

    assert plain is not None
    assert knowing is not None
    assert (plain.takes_result, knowing.takes_result) == (False, True)


def test_options_become_the_policy_of_the_action_and_of_the_compensation() -> None:
    """Without options an action has 5 attempts and a compensation 4."""
    once = ActivityOptions(retry_policy=RetryPolicy(maximum_attempts=1))
    usual = action(book_seat).compensated_by(cancel_seat)
    quick = action(book_seat, options=once).compensated_by(cancel_seat, options=once)

    policies = [(step.call.policy, step.compensation and step.compensation.policy) for step in (usual, quick)]
    assert policies == [
        (ActivityPolicy(maximum_attempts=5), ActivityPolicy(maximum_attempts=4)),
        (ActivityPolicy(maximum_attempts=1), ActivityPolicy(maximum_attempts=1)),
    ]


@pytest.mark.parametrize(("probe", "asked"), [(FIND, "find-seat"), (find_seat, "find_seat")])
def test_probe_has_the_options_of_the_action(probe: Any, asked: str) -> None:
    """The same timeouts, retries and workers; the answer is a `ProbeResult`."""
    call = action(RESERVE, probe=probe, options=CINEMA).call

    assert call.probe is not None
    assert (call.probe.activity, call.probe.task_queue, call.probe.policy) == (asked, "cinema", call.policy)
    assert call.probe.result is ProbeResult[int]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (RELEASE, "probe 'release-seat' must return a ProbeResult, not <class 'str'>"),
        (cancel_seat, "probe 'cancel_seat' must return a ProbeResult"),
        (book_untyped, "probe 'book_untyped' must return a ProbeResult"),
        (no_activity, "'no_activity' is not an activity"),
    ],
)
def test_probe_without_a_probe_result_is_refused(wrong: Any, message: str) -> None:
    """Another answer would not contain the outcome of the action."""
    with pytest.raises(DefinitionError, match=message):
        action(RESERVE, probe=wrong)


def test_compensation_may_have_a_task_queue_of_its_own() -> None:
    """By default a compensation has the task queue of the action."""
    steps = [
        action(RESERVE, options=CINEMA).compensated_by(
            RELEASE, options=ActivityOptions(task_queue="back-office")
        ),
        action(RESERVE, options=CINEMA).compensated_by(RELEASE),
        action(RESERVE).compensated_by(RELEASE),
    ]

    assert [s.compensation and s.compensation.task_queue for s in steps] == ["back-office", "cinema", None]


def test_data_of_a_step_is_declared_by_name() -> None:
    """A step has the declaration of the action."""
    bare = action(RESERVE, data=DataAccess(reads={"plan"}, writes=frozenset({"seats"})))

    assert (bare.data.reads, bare.data.writes) == (frozenset({"plan"}), frozenset({"seats"}))
    assert bare.compensated_by(RELEASE).data == bare.data
    assert bare.read_only().data == bare.irreversible().data == bare.data
    assert hash(bare)


@pytest.mark.parametrize("option", ["reads", "writes"])
@pytest.mark.parametrize("wrong", ["seats", ["seats"], {7}, {""}, None, 7])
def test_data_without_a_set_of_names_is_refused(option: str, wrong: Any) -> None:
    """Text would otherwise be taken for a set of letters."""
    with pytest.raises(DefinitionError, match=f"{option} must be a set of names, not "):
        DataAccess(**{option: wrong})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"options": 3}, "options must be an ActivityOptions, not 3"),
        ({"options": None}, "options must be an ActivityOptions, not None"),
        ({"options": RetryPolicy(maximum_attempts=3)}, "options must be an ActivityOptions, not RetryPolicy"),
        ({"data": {"seats"}}, "data must be a DataAccess, not {'seats'}"),
        ({"rejections": "SoldOut"}, "rejections must be a set of names, not 'SoldOut'"),
        ({"rejections": [ValueError]}, "rejections must be a set of names"),
        ({"rejections": {ValueError}}, "rejections must be a set of names"),
    ],
    ids=str,
)
def test_wrong_argument_of_an_action_is_refused_by_name(wrong: dict[str, Any], message: str) -> None:
    """When the action is constructed, not in a workflow task."""
    with pytest.raises(DefinitionError, match=message):
        action(book_seat, **wrong)


@pytest.mark.parametrize("wrong", [3, None, RetryPolicy(maximum_attempts=3)])
def test_wrong_options_of_a_compensation_are_refused_by_name(wrong: Any) -> None:
    """As those of an action."""
    with pytest.raises(DefinitionError, match="options must be an ActivityOptions, not "):
        action(book_seat).compensated_by(cancel_seat, options=wrong)


@pytest.mark.parametrize("own", [{"name": "book-seat"}, {"rejections": {"closed"}}], ids=str)
def test_operation_takes_no_second_name_and_no_further_rejections(own: dict[str, Any]) -> None:
    """The operation is the contract, which the participant knows."""
    with pytest.raises(
        DefinitionError, match="operation 'reserve-seat' declares its own name and rejections"
    ):
        action(RESERVE, **own)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (no_activity, "'no_activity' is not an activity: decorate the function with @activity.defn"),
        (no_message, "has 0 parameters"),
        (three, "has 3 parameters"),
        (oddly_named, "words in lower case"),
        (dynamic, "is not an activity"),
        (print, "is not an activity"),
        (7, "7 is not an activity"),
    ],
)
def test_wrong_action_is_refused(wrong: Callable[..., Any], message: str) -> None:
    """The message says what to do."""
    with pytest.raises(DefinitionError, match=message):
        action(wrong)


def test_methods_are_given_as_attributes_of_the_class() -> None:
    """The instance belongs to the worker, which does not exist yet; a class may be local."""

    class Theatre:
        @activity.defn
        async def book(self, seat: str) -> int:
            return 7

        @activity.defn
        async def cancel(self, seat: str, number: int | None) -> None: ...

    steps = [
        action(Cinema.book).compensated_by(Cinema.cancel),
        action(Theatre.book).compensated_by(Theatre.cancel),
        action(Cinema().book).compensated_by(Cinema().cancel),
    ]

    assert [step.compensation is not None and step.compensation.takes_result for step in steps] == [True] * 3


@pytest.mark.parametrize(
    ("compensation", "takes_result"),
    [
        (RELEASE, False),
        (cancel_seat, False),
        (cancel_knowing, True),
        (Cinema.give_back, False),
        (Cinema.cancel, True),
        (Cinema().give_back, False),
        (Cinema.cancel_statically, True),
    ],
)
def test_functions_methods_and_operations_compensate_each_other(
    compensation: Any, *, takes_result: bool
) -> None:
    """An activity is called by name, so the kind of the compensation need not be the kind of the action."""
    step = action(book_seat).compensated_by(compensation)

    assert step.compensation is not None
    assert step.compensation.takes_result is takes_result
    if compensation is not Cinema.cancel_statically:
        assert action(Cinema.book).compensated_by(compensation).compensation == step.compensation


def test_function_with_two_parameters_is_not_a_method() -> None:
    """Such a function would get one argument, and fail at every attempt; likewise a bound method."""

    @activity.defn
    async def book_local(seat: str, row: int) -> None: ...

    for wrong in (book_two, book_local, Cinema().book_row):
        with pytest.raises(DefinitionError, match=r"takes one message; 'book_[a-z]+' has 2"):
            action(wrong)


@pytest.mark.parametrize(
    "name", [7, "", "Book", "book seat", "book.seat", "book:seat", "-book", "book#2", "ä"]
)
def test_name_that_would_spoil_a_key_is_refused(name: Any) -> None:
    """Addresses are made of names, with `#`, `:`, `/` and `.` between the names."""
    with pytest.raises(DefinitionError, match="words in lower case"):
        action(book_seat, name=name)
    with pytest.raises(DefinitionError, match="words in lower case"):
        Operation(name=name, participant="cinema", message=str, result=str)
    with pytest.raises(DefinitionError, match=r"the name of participant .* must be words in lower case"):
        Operation(name="book-seat", participant=name, message=str, result=str)


@pytest.mark.parametrize("wrong", [no_activity, no_message, three])
def test_wrong_compensation_is_refused(wrong: Callable[..., Any]) -> None:
    """A compensation takes the message of the action, and optionally the result."""
    with pytest.raises(DefinitionError):
        action(book_seat).compensated_by(wrong)


def test_every_step_has_an_effect_class() -> None:
    """A bare action has none yet."""
    seat = action(book_seat)
    steps = [seat.compensated_by(cancel_seat), seat.read_only(), seat.irreversible()]

    assert [step.effect for step in steps] == list(EffectClass)
    assert [isinstance(step, IrreversibleStep) for step in steps] == [False, False, True]
    assert [step.compensation is None for step in steps] == [False, True, True]
    assert not hasattr(seat, "effect")


def test_steps_are_values() -> None:
    """Frozen, and equal when the content is equal."""
    one = action(book_seat).compensated_by(cancel_seat)

    assert one == action(book_seat).compensated_by(cancel_seat)
    assert hash(one) == hash(action(book_seat).compensated_by(cancel_seat))
    assert isinstance(one, Step)
    assert isinstance(action(RESERVE), Action)
    assert isinstance(action(Cinema.book), Action)
    with pytest.raises(AttributeError):
        one.name = "other"  # type: ignore[misc] # frozen
    with pytest.raises(AttributeError):
        action(Cinema.book).name = "other"  # type: ignore[misc] # frozen


def test_pending_compensation_has_the_message_and_room_for_the_result() -> None:
    """The result is filled in once the action is done."""
    specs = [action(book_seat).compensated_by(each).compensation for each in (cancel_seat, cancel_knowing)]

    pending = [spec and spec.to_pending("book-seat#2", "7 B") for spec in specs]

    assert pending == [
        PendingCompensation(address="book-seat#2", activity="cancel_seat", arguments=("7 B",)),
        PendingCompensation(
            address="book-seat#2",
            activity="cancel-seat-knowing",
            arguments=("7 B", None),
            takes_result=True,
        ),
    ]


async def judge(number: int) -> bool:
    return number == 7


@pytest.mark.parametrize("function", ["sold_out", 7, judge], ids=["text", "number", "async"])
def test_a_judgement_of_results_is_an_ordinary_function(function: Any) -> None:
    """The workflow could not await the function."""
    with pytest.raises(DefinitionError, match="rejected_when must be a function without `async`"):
        action(book_seat, rejected_when=function)
