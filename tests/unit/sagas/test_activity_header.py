"""What stands in the header of an activity: enough to rescue a saga, and nothing of its business."""

from datetime import timedelta
from itertools import product

import pytest
from pydantic import ValidationError
from temporalio import activity
from temporalio.api.common.v1 import Payload

from sagas import ActivityPolicy, CompensationOrder, CompensationScope, Operation, Step, action
from sagas._core.compensation import PendingCompensation
from sagas._core.purpose import Purpose
from sagas._wire.activity_header import (
    ActivityHeader,
    CompensationSpec,
    action_header,
    plain_header,
    read_header,
)

IN_DOUBT, REVERSE = CompensationScope.IN_DOUBT, CompensationOrder.REVERSE
PATIENT = ActivityPolicy(
    timeout=timedelta(milliseconds=1_500),
    attempts=7,
    backoff=1.5,
    heartbeat=timedelta(seconds=2),
    deadline=timedelta(hours=1),
    priority=1,
)


@activity.defn
async def release_seat(seat: str, number: int | None) -> None: ...


@activity.defn
async def book_seat(seat: str) -> int:
    return 7


RESERVE: Operation[str, int] = Operation(
    name="reserve-seat",
    participant="cinema",
    message=str,
    result=int,
    rejections=frozenset({"sold_out", "closed", "too_young"}),
)
RELEASE: Operation[str, int] = Operation(name="free-seat", participant="cinema", message=str, result=int)
RESERVED = action(RESERVE).compensated_by(RELEASE, policy=PATIENT, task_queue="cinema")
KNOWING = action(book_seat).compensated_by(release_seat)
BARE = action(RESERVE).without_compensation(because="the secret is that a seat costs nothing")


@pytest.mark.parametrize(
    ("purpose", "scope", "order"), list(product(Purpose, CompensationScope, CompensationOrder))
)
def test_mark_is_read_as_it_was_written(
    purpose: Purpose, scope: CompensationScope, order: CompensationOrder
) -> None:
    """For every purpose, with everything that is needed to make up for the step."""
    owes = CompensationSpec(activity="free-seat", task_queue="cinema", policy=PATIENT)

    mark = read_header(action_header(RESERVED, purpose, scope, order))

    assert mark == ActivityHeader(
        purpose=purpose,
        owes=None if purpose is Purpose.RETRIABLE else owes,
        rejections=("closed", "sold_out", "too_young"),
        scope=scope,
        order=order,
    )


@pytest.mark.parametrize("purpose", Purpose)
def test_plain_mark_says_what_an_activity_is_for(purpose: Purpose) -> None:
    """And nothing else."""
    assert read_header(plain_header(purpose)) == ActivityHeader(purpose=purpose)


def test_compensation_that_asks_for_the_result_says_so() -> None:
    """Whoever rescues the saga looks for it in the history."""
    mark = read_header(action_header(KNOWING, Purpose.STEP, IN_DOUBT, REVERSE))

    assert mark.owes == CompensationSpec(activity="release_seat", takes_result=True)


@pytest.mark.parametrize("what", [BARE, action(RESERVE)], ids=["a step", "a pivot"])
def test_what_has_no_compensation_owes_nothing(what: Step[str, int]) -> None:
    """The reason why stays in the code."""
    mark = read_header(action_header(what, Purpose.STEP, IN_DOUBT, REVERSE))

    assert mark == ActivityHeader(purpose=Purpose.STEP, rejections=("closed", "sold_out", "too_young"))


@pytest.mark.parametrize("what", [RESERVED, KNOWING, BARE])
def test_mark_holds_no_business_data(what: Step[str, int]) -> None:
    """P17: names and policies only, also those that say something to people."""
    mark = read_header(action_header(what, Purpose.STEP, IN_DOUBT, REVERSE))

    assert set(ActivityHeader.model_fields) == {"purpose", "owes", "rejections", "scope", "order"}
    assert set(CompensationSpec.model_fields) == {"activity", "takes_result", "task_queue", "policy"}
    assert "secret" not in mark.model_dump_json()


def test_whatever_a_compensation_has_to_say_is_in_its_mark() -> None:
    """But for its address, which is the activity's id, and its arguments, which are the activity's input."""
    assert set(PendingCompensation.model_fields) - set(CompensationSpec.model_fields) == {
        "address",
        "arguments",
    }


@pytest.mark.parametrize(("step", "arguments"), [(RESERVED, ("A1",)), (KNOWING, ("A1", None))])
def test_pending_compensation_of_a_header(step: Step[str, int], arguments: tuple[object, ...]) -> None:
    """The header and the input of an action are enough for its compensation."""
    spec = read_header(action_header(step, Purpose.STEP, IN_DOUBT, REVERSE)).owes

    assert spec is not None
    pending = spec.to_pending("reserve-seat#2", "A1")
    assert (pending.address, pending.arguments) == ("reserve-seat#2", arguments)
    assert pending.model_dump(exclude={"address", "arguments"}) == spec.model_dump()


def test_mark_is_small_and_the_same_every_time() -> None:
    """It is written with every activity of every saga, and P9 wants the same bytes from the same history."""
    one = action_header(RESERVED, Purpose.STEP, IN_DOUBT, REVERSE)
    action_header.cache_clear()

    assert one == action_header(RESERVED, Purpose.STEP, IN_DOUBT, REVERSE)
    assert plain_header(Purpose.COMPENSATION).data == b'{"purpose":"compensation"}'
    assert dict(one.metadata) == {"encoding": b"json/plain"}


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"purpose":"fun"}', b"\xff"])
def test_header_of_somebody_else_is_no_mark(data: bytes) -> None:
    """It is refused, not guessed at."""
    with pytest.raises(ValidationError):
        read_header(Payload(data=data))
