"""A saga with any id calls participants over HTTP: no id is stuck at the first step."""

import asyncio

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.worker import Worker

from activities import HttpParticipant
from sagas import idempotency_key, start_saga
from tests.http_server import RecordingServer, recording_server

from ..fixtures.cinema_saga import CINEMA_QUEUE, RELEASE_ROW, RESERVE_ROW, Booking, CinemaSaga
from ..fixtures.worker_harness import PATIENCE, Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])
WORKFLOWS: list[type] = [CinemaSaga]


async def requests_of(harness: WorkerHarness, saga: Handle, server: RecordingServer) -> list[tuple[str, str]]:
    """The path and the key of each request of a saga that compensates."""
    harness.workflow_ids.append(saga.id)
    async with HttpParticipant("cinema", server.url) as participant:
        activities = participant.activities([RESERVE_ROW, RELEASE_ROW])
        async with Worker(harness.client, task_queue=CINEMA_QUEUE, activities=activities):
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(WorkflowFailureError):
                    await saga.result()
    return [(request.path, request.headers["Idempotency-Key"]) for request in server.requests]


async def test_saga_with_the_longest_id_is_compensated(harness: WorkerHarness) -> None:
    """`start_saga` accepts 200 characters, and the keys of the steps are longer."""
    saga_id = harness.task_queue.ljust(200, "x")
    with recording_server() as server:
        saga = await start_saga(
            harness.client, CinemaSaga.run, Booking(rows=2), id=saga_id, task_queue=harness.task_queue
        )
        requests = await requests_of(harness, saga, server)

    check_keys(requests, parent_key=idempotency_key(saga_id, "reserve-row"))


@pytest.mark.parametrize("beginning", ["Bestellung-\u00e4-", "\u7968" * 300, "a b"], ids=ascii)
async def test_saga_with_an_id_of_a_plain_start_is_compensated(
    harness: WorkerHarness, beginning: str
) -> None:
    """Temporal accepts every id of at most 1,000 bytes, and a header does not."""
    saga_id = f"{beginning}{harness.task_queue}"
    with recording_server() as server:
        saga = await harness.client.start_workflow(
            CinemaSaga.run, Booking(rows=2), id=saga_id, task_queue=harness.task_queue
        )
        requests = await requests_of(harness, saga, server)

    check_keys(requests, parent_key=idempotency_key(saga_id, "reserve-row"))


def check_keys(requests: list[tuple[str, str]], *, parent_key: str) -> None:
    """Each step has a key of its own, which a header can carry, and the compensation has the same key."""
    assert [path for path, _ in requests] == ["/reserve-row", "/reserve-row", "/release-row", "/release-row"]
    keys = [key for _, key in requests]
    assert keys[2:] == [keys[1], keys[0]]
    assert keys[0] != keys[1]
    assert all(len(key) <= 200 and key.isascii() and key.isprintable() and " " not in key for key in keys)
    assert parent_key not in keys
