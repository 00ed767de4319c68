"""A step that is badly written is refused when it is written."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from temporalio import activity
from temporalio.common import RawValue

from sagas import Action, DefinitionError, Operation, ProbeResult, Step, action


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
    async def book_row(self, seat: str, row: int) -> None: ...


async def no_activity(seat: str) -> None: ...


RESERVE: Operation[str, int] = Operation(
    name="reserve-seat", participant="cinema", message=str, result=int, rejections=frozenset({"sold_out"})
)
FIND = Operation(name="find-seat", participant="cinema", message=str, result=ProbeResult[int])
RELEASE: Operation[str, str] = Operation(name="release-seat", participant="cinema", message=str, result=str)


def test_action_of_an_activity_takes_its_name_and_type() -> None:
    """The step's name is the activity's, in lower case with dashes."""
    book = action(book_seat)

    assert (book.name, book.call.activity, book.call.result) == ("book-seat", "book_seat", int)


def test_result_without_an_annotation_is_read_without_a_type() -> None:
    """As Temporal does; `-> None` says that there is none."""
    assert action(book_untyped).call.result is Any
    assert action(cancel_seat).call.result is type(None)


def test_action_of_an_operation_takes_its_contract() -> None:
    """Name, result and rejections are declared once."""
    step = action(RESERVE, task_queue="cinema").compensated_by(RELEASE)

    assert (step.name, step.call.result) == ("reserve-seat", int)
    assert step.call.rejections == RESERVE.rejections
    assert step.compensation is not None
    assert (step.compensation.call.activity, step.compensation.takes_result) == ("release-seat", False)
    assert (step.call.task_queue, step.compensation.call.task_queue) == ("cinema", "cinema")


def test_compensation_with_a_second_parameter_takes_the_result() -> None:
    """It is told what the action returned, or `None`."""
    plain = action(book_seat).compensated_by(cancel_seat).compensation
    knowing = action(book_seat).compensated_by(cancel_knowing).compensation

    assert plain is not None
    assert knowing is not None
    assert (plain.takes_result, knowing.takes_result) == (False, True)


@pytest.mark.parametrize(("probe", "asked"), [(FIND, "find-seat"), (find_seat, "find_seat")])
def test_probe_is_asked_where_the_action_is_done(probe: Any, asked: str) -> None:
    """With the patience of the action, on the workers of the action; its answer is a finding."""
    call = action(RESERVE, probe=probe, task_queue="cinema").call

    assert call.probe is not None
    assert (call.probe.activity, call.probe.task_queue, call.probe.policy) == (asked, "cinema", call.policy)
    assert call.probe.result is ProbeResult[int]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (RELEASE, "must return a `ProbeResult`"),
        (cancel_seat, "must return a `ProbeResult`"),
        (no_activity, "is no act"),
    ],
)
def test_probe_that_finds_nothing_is_refused(wrong: Any, message: str) -> None:
    """Its answer would say nothing about what became of the action."""
    with pytest.raises(DefinitionError, match=message):
        action(RESERVE, probe=wrong)


def test_compensation_may_have_workers_of_its_own() -> None:
    """By default they are those of the action."""
    steps = [
        action(RESERVE, task_queue="cinema").compensated_by(RELEASE, task_queue="back-office"),
        action(RESERVE, task_queue="cinema").compensated_by(RELEASE),
        action(RESERVE).compensated_by(RELEASE),
    ]

    assert [s.compensation and s.compensation.call.task_queue for s in steps] == [
        "back-office",
        "cinema",
        None,
    ]


def test_data_of_a_step_is_what_its_author_says() -> None:
    """Names, each once; a step takes them over from its action."""
    bare = action(RESERVE, reads=["plan", "plan"], writes=iter(["seats"]))

    assert (bare.data.reads, bare.data.writes) == (frozenset({"plan"}), frozenset({"seats"}))
    assert bare.compensated_by(RELEASE).data == bare.data
    assert bare.without_compensation(because="it is free").data == bare.data


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (no_activity, "is no activity"),
        (no_message, "has 0 parameters"),
        (three, "has 3 parameters"),
        (oddly_named, "words in lower case"),
        (dynamic, "is no activity"),
        (print, "is no activity"),
    ],
)
def test_wrong_action_is_refused(wrong: Callable[..., Any], message: str) -> None:
    """With what to do about it."""
    with pytest.raises(DefinitionError, match=message):
        action(wrong)


def test_methods_of_a_class_are_given_as_the_class_has_them() -> None:
    """Wherever the class is: the instance is not known before its worker is."""

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


def test_function_with_two_parameters_is_no_method() -> None:
    """It would get one message, and fail at every attempt; a method that is bound takes one as well."""

    @activity.defn
    async def book_local(seat: str, row: int) -> None: ...

    for wrong in (book_two, book_local, Cinema().book_row):
        with pytest.raises(DefinitionError, match=r"takes one message; 'book_[a-z]+' has 2"):
            action(wrong)


@pytest.mark.parametrize("name", ["", "Book", "book seat", "book.seat", "book:seat", "-book", "book#2", "ä"])
def test_name_that_would_spoil_a_key_is_refused(name: str) -> None:
    """Addresses are made of names, with `#`, `:`, `/` and `.` between them."""
    if name:
        with pytest.raises(DefinitionError, match="words in lower case"):
            action(book_seat, name=name)
    with pytest.raises(DefinitionError, match="words in lower case"):
        Operation(name=name, participant="cinema", message=str, result=str)


@pytest.mark.parametrize("wrong", [no_activity, no_message, three])
def test_wrong_compensation_is_refused(wrong: Callable[..., Any]) -> None:
    """It takes what its action took, and perhaps the result."""
    with pytest.raises(DefinitionError):
        action(book_seat).compensated_by(wrong)


@pytest.mark.parametrize("because", ["", "  "])
def test_missing_compensation_needs_a_reason(because: str) -> None:
    """Nobody forgets one by accident."""
    with pytest.raises(DefinitionError, match="say why"):
        action(book_seat).without_compensation(because=because)


def test_steps_are_values() -> None:
    """They are frozen, and equal when they mean the same."""
    one = action(book_seat).compensated_by(cancel_seat)

    assert one == action(book_seat).compensated_by(cancel_seat)
    assert isinstance(one, Step)
    assert isinstance(action(RESERVE), Action)
    with pytest.raises(AttributeError):
        one.name = "other"  # type: ignore[misc] # it is frozen
