"""Activity results without a declared type, and very large rejections, reach the saga unchanged."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from sagas import SAGA_COMPENSATED, ActivityOptions, RejectedError, Saga, action

LARGE = 5_000_000


class Counter:
    """A ticket counter whose activities look like ordinary user code; records the cancelled bookings."""

    def __init__(self) -> None:
        self.cancelled: list[object] = []

    @activity.defn(name="book-seat")
    async def book(self, seat: str):  # type: ignore[no-untyped-def] # no result type on purpose
        return {"seat": seat, "row": 7}

    @activity.defn(name="cancel-seat")
    async def cancel(self, seat: str, booking: object) -> None:
        self.cancelled.append(booking)

    @activity.defn(name="pay-seat")
    async def pay(self, seat: str) -> None:
        raise RejectedError("c" * LARGE, "r" * LARGE, "f" * LARGE)


BOOK = action(Counter.book).compensated_by(Counter.cancel)
PAY = action(
    Counter.pay, options=ActivityOptions(retry_policy=RetryPolicy(maximum_attempts=2))
).compensated_by(Counter.cancel)


@workflow.defn
class SeatSaga:
    @workflow.run
    async def run(self, seat: str) -> str:
        async with Saga() as saga:
            booking = await saga.step(BOOK, seat)
            if seat == "dear":
                await saga.step(PAY, seat)
            raise RejectedError("not_wanted", f"row {booking['row']}")


@pytest.fixture
def counter() -> Counter:
    """The ticket counter."""
    return Counter()


@pytest.fixture
async def task_queue(client: Client, counter: Counter) -> AsyncIterator[str]:
    """The task queue of a worker with the activities of the counter."""
    queue = f"seats-{uuid4().hex[:8]}"
    activities: list[Callable[..., Any]] = [counter.book, counter.cancel, counter.pay]
    async with Worker(client, task_queue=queue, workflows=[SeatSaga], activities=activities):
        yield queue


async def failure(client: Client, seat: str, task_queue: str) -> ApplicationError:
    """The application error with which a saga for a seat fails."""
    with pytest.raises(WorkflowFailureError) as failed:
        await client.execute_workflow(SeatSaga.run, seat, id=task_queue, task_queue=task_queue)
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


async def test_a_result_without_an_annotation_reaches_the_saga_and_the_compensation(
    client: Client, counter: Counter, task_queue: str
) -> None:
    """A result without a declared type is not taken for an unknown outcome."""
    ended = await failure(client, "cheap", task_queue)

    assert ended.details[:2] == ("not_wanted", "row 7")
    assert counter.cancelled == [{"seat": "cheap", "row": 7}]


async def test_a_very_large_rejection_stays_rejected(
    client: Client, counter: Counter, task_queue: str
) -> None:
    """P4: a rejected action did not happen; only the steps before the action are compensated."""
    ended = await failure(client, "dear", task_queue)

    code, reason, field = ended.details
    assert (ended.type, code[:3], reason[:3], field[:3]) == (SAGA_COMPENSATED, "ccc", "rrr", "fff")
    assert counter.cancelled == [{"seat": "dear", "row": 7}]
