"""The header of an activity: enough to rescue a saga, and no business data."""

import re
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.common import Priority, RetryPolicy

from sagas import ActivityOptions, CompensationOrder, CompensationScope, OnStuck, Operation, Step, action
from sagas._core.activity_policy import ActivityPolicy
from sagas._core.compensation import CompensationRules, CompensationSpec, PendingCompensation
from sagas._core.effect_class import EffectClass
from sagas._core.purpose import Purpose
from sagas._errors import WireFormatError
from sagas._wire.activity_header import ActivityHeader, action_header, plain_header, read_header

PATIENT = ActivityPolicy(
    start_to_close_timeout=timedelta(milliseconds=1_500),
    maximum_attempts=7,
    backoff_coefficient=1.5,
    heartbeat_timeout=timedelta(seconds=2),
    schedule_to_close_timeout=timedelta(hours=1),
    priority_key=1,
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
RESERVED = action(RESERVE).compensated_by(
    RELEASE,
    options=ActivityOptions(
        start_to_close_timeout=PATIENT.start_to_close_timeout,
        schedule_to_close_timeout=PATIENT.schedule_to_close_timeout,
        heartbeat_timeout=PATIENT.heartbeat_timeout,
        retry_policy=RetryPolicy(maximum_attempts=7, backoff_coefficient=1.5),
        priority=Priority(priority_key=1),
        task_queue="cinema",
    ),
)
KNOWING = action(book_seat).compensated_by(release_seat)
READING, FINAL = action(RESERVE).read_only(), action(RESERVE).irreversible()


@pytest.mark.parametrize(
    ("purpose", "scope", "order", "on_stuck"),
    list(product(Purpose, CompensationScope, CompensationOrder, OnStuck)),
)
def test_header_is_read_as_written(
    purpose: Purpose, scope: CompensationScope, order: CompensationOrder, on_stuck: OnStuck
) -> None:
    """For every purpose, with the whole compensation of the step."""
    compensation = CompensationSpec(activity="free-seat", task_queue="cinema", policy=PATIENT)

    header = read_header(action_header(RESERVED, purpose, CompensationRules(scope, order, on_stuck)))

    assert header == ActivityHeader(
        purpose=purpose,
        compensation=None if purpose is Purpose.RETRIABLE else compensation,
        rejections=("closed", "sold_out", "too_young"),
        scope=scope,
        order=order,
        on_stuck=on_stuck,
    )


@pytest.mark.parametrize("purpose", Purpose)
def test_plain_header_has_the_purpose(purpose: Purpose) -> None:
    """And no other content."""
    assert read_header(plain_header(purpose)) == ActivityHeader(purpose=purpose)


def test_compensation_with_the_result_is_marked() -> None:
    """A rescue takes the result from the history."""
    header = read_header(action_header(KNOWING, Purpose.STEP, CompensationRules()))

    assert header.compensation == CompensationSpec(activity="release_seat", takes_result=True)


@pytest.mark.parametrize(
    ("what", "effect"),
    [
        (READING, EffectClass.READ_ONLY),
        (FINAL, EffectClass.IRREVERSIBLE),
        (action(RESERVE), None),
        (KNOWING, None),
    ],
    ids=["read-only", "irreversible", "a bare action", "a compensation is the class"],
)
def test_header_has_the_effect_class_where_no_compensation_says_it(
    what: Step[Any, int], effect: EffectClass | None
) -> None:
    """The field is left out by default: the header of a compensatable step has the size of before."""
    written = action_header(what, Purpose.STEP, CompensationRules())

    assert read_header(written).effect is effect
    assert (b"effect" in written.data) is (effect is not None)


def test_plain_header_has_the_effect_class_of_a_step_after_compensation() -> None:
    """A read-only step after the compensation leaves no effect."""
    header = read_header(plain_header(Purpose.AFTER_COMPENSATION, effect=EffectClass.READ_ONLY))

    assert header.is_read_only


@pytest.mark.parametrize("what", [RESERVED, KNOWING, READING, FINAL])
def test_header_has_no_business_data(what: Step[str, int]) -> None:
    """P17: names and policies only, and no text for people."""
    header = read_header(action_header(what, Purpose.STEP, CompensationRules()))

    assert set(ActivityHeader.model_fields) == {
        "format",
        "purpose",
        "compensation",
        "confirmation",
        "rejections",
        "scope",
        "order",
        "on_stuck",
        "sections",
        "lost",
        "unit",
        "is_judged",
        "effect",
    }
    assert set(CompensationSpec.model_fields) == {"activity", "takes_result", "task_queue", "policy"}
    assert "secret" not in header.model_dump_json()


def test_header_has_the_whole_compensation() -> None:
    """Except the address, which is the activity id, and the arguments, which are the activity's input."""
    assert set(PendingCompensation.model_fields) - set(CompensationSpec.model_fields) == {
        "address",
        "arguments",
    }


@pytest.mark.parametrize(("step", "arguments"), [(RESERVED, ("A1",)), (KNOWING, ("A1", None))])
def test_pending_compensation_of_a_header(step: Step[str, int], arguments: tuple[object, ...]) -> None:
    """The header and the input of an action are enough for its compensation."""
    spec = read_header(action_header(step, Purpose.STEP, CompensationRules())).compensation

    assert spec is not None
    pending = spec.to_pending("reserve-seat#2", "A1")
    assert (pending.address, pending.arguments) == ("reserve-seat#2", arguments)
    assert pending.model_dump(exclude={"address", "arguments"}) == spec.model_dump()


def test_header_is_small_and_the_same_every_time() -> None:
    """Every activity of every saga has a header, and P9 wants the same bytes from the same history."""
    one = action_header(RESERVED, Purpose.STEP, CompensationRules())
    action_header.cache_clear()

    assert one == action_header(RESERVED, Purpose.STEP, CompensationRules())
    assert plain_header(Purpose.COMPENSATION).data == b'{"format":2,"purpose":"compensation"}'
    assert dict(one.metadata) == {"encoding": b"json/plain"}


NO_POLICY = (
    b'{"format":2,"purpose":"step","compensation":{"activity":"free-seat","policy":{"maximum_attempts":0}}}'
)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"id":"x"}', b'{"format":2}', b'{"format":2,"purpose":"fun"}', b"\xff", NO_POLICY],
)
def test_header_of_another_program_is_refused(data: bytes) -> None:
    """Such a header is never guessed at."""
    with pytest.raises(ValidationError):
        read_header(Payload(data=data))


@pytest.mark.parametrize(
    ("data", "found"),
    [(b'{"purpose":"step"}', "1"), (b'{"format":1,"purpose":"step"}', "1"), (b'{"format":3,"to":"do"}', "3")],
)
def test_header_of_another_format_is_refused(data: bytes, found: str) -> None:
    """The format is checked first: the fields may have another meaning."""
    sentence = (
        f"ActivityHeader has wire format {found}, and this version of sagas reads wire format 2: "
        "use the version of sagas that started the saga"
    )

    with pytest.raises(WireFormatError, match=f"^{re.escape(sentence)}$"):
        read_header(Payload(data=data))


def test_header_has_the_further_retry_and_priority_options_where_set() -> None:
    """A rescue schedules the compensation with the same options."""
    fair = ActivityOptions(
        retry_policy=RetryPolicy(maximum_attempts=4, non_retryable_error_types=["TooLate"]),
        priority=Priority(fairness_key="tenant-7", fairness_weight=0.5),
    )
    step = action(RESERVE).compensated_by(RELEASE, options=fair)
    payload = action_header(step, Purpose.STEP, CompensationRules())

    header = read_header(payload)

    assert header.compensation == step.compensation
    assert b"non_retryable_error_types" in payload.data
    assert b"fairness" not in action_header(RESERVED, Purpose.STEP, CompensationRules()).data
