"""Without the search attribute, sagas publish the status in the memo, and operators see the same."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from sagas import SagaPlugin
from sagas.operator import SagaClient
from tests.waiting import until

from ..conftest import BARE_FLAGS, running_server
from ..fixtures.sagas_command import sagas
from ..fixtures.trip_participants import fails, rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])
DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
WRITTEN = EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED
BY_MIA: dict[str, Any] = {"by": "mia", "because": "x"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bare_server(temporal_program: str) -> AsyncIterator[str]:
    """A server without the search attribute of sagas."""
    async with running_server(temporal_program, BARE_FLAGS) as address:
        yield address


@pytest.fixture(params=["unknown", "known"])
def server(request: pytest.FixtureRequest, server: str, bare_server: str) -> str:
    """Both servers: an unwritten search attribute may be registered all the same."""
    return server if request.param == "known" else bare_server


@pytest.fixture
async def client(server: str) -> Client:
    """A client whose sagas write no search attribute."""
    return await Client.connect(server, plugins=[SagaPlugin(search_attributes=False)])


@pytest.fixture
def operator(client: Client) -> SagaClient:
    """The client of the operator."""
    return SagaClient(client)


async def held_trip(harness: WorkerHarness, operator: SagaClient) -> Handle:
    """A held saga."""
    trip = await harness.start_trip("hotel", "wait")
    await harness.wait_for_event(trip, DONE)
    assert await operator.hold(trip.id, **BY_MIA) == "held"
    return trip


async def stuck_trip(harness: WorkerHarness) -> Handle:
    """A saga with a rejected compensation."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("flight", "fail")
    await harness.wait_for_status(trip, "stuck")
    return trip


async def settled_trip(harness: WorkerHarness, operator: SagaClient) -> Handle:
    """A saga with a manually resolved step after the pivot."""
    harness.participants.when("send-ticket", fails(final=True))
    trip = await harness.start_trip("pay", "ticket")
    await harness.wait_for_status(trip, "stuck")
    await operator.complete(trip.id, "send-ticket", **BY_MIA)
    assert await harness.wait_for_ending(trip) == Ending("COMPLETED", "settled", result=["pay", "ticket"])
    return trip


async def test_a_saga_is_shown_with_status(harness: WorkerHarness, operator: SagaClient) -> None:
    """P8: a stuck saga is not shown as compensating, and a manually resolved saga is shown as settled."""
    held = await held_trip(harness, operator)
    stuck = await stuck_trip(harness)
    settled = await settled_trip(harness, operator)
    latch = harness.participants.block("cancel-car")
    compensating = await harness.start_trip("car", "fail")
    await latch.entered.wait()

    shown = {trip.id: await operator.show(trip.id) for trip in (held, stuck, settled, compensating)}

    assert [story.status for story in shown.values()] == ["held", "stuck", "settled", "compensating"]
    assert shown[stuck.id].status_at is not None
    assert [wait.condition for wait in shown[stuck.id].waits] == ["for-operator"]
    latch.released.set()
    assert (await harness.wait_for_ending(compensating)).saga == "compensated"
    assert (await operator.show(compensating.id)).status == "compensated"


async def test_sagas_are_listed_by_status(harness: WorkerHarness, operator: SagaClient, server: str) -> None:
    """Sagas that wait for an operator come first, in Python and on the command line."""
    running = await harness.start_trip("hotel", "wait")
    stuck = await stuck_trip(harness)
    held = await held_trip(harness, operator)
    settled = await settled_trip(harness, operator)
    completed = await harness.start_trip("look")
    compensated = await harness.start_trip("hotel", "fail")
    terminated = await harness.start_trip("wait")
    await terminated.terminate("x")
    for trip in (completed, compensated):
        await harness.wait_for_ending(trip)
    here = f"TaskQueue = '{harness.task_queue}'"

    async def listed(status: str | None = None, limit: int = 100) -> list[tuple[str, str]]:
        found = await operator.list(status=status, query=here, limit=limit)
        return [(saga.id, saga.status) for saga in found]

    everything = [(stuck.id, "stuck"), (held.id, "held"), (running.id, "running")]
    one_each = (stuck, held, running, settled, completed, compensated, terminated)
    statuses = ("stuck", "held", "running", "settled", "completed", "compensated", "terminated")

    async def is_up_to_date() -> bool:
        singles = [await listed(status) for status in statuses]
        return singles == [[(trip.id, status)] for trip, status in zip(one_each, statuses, strict=True)]

    # The server's list lags behind by an unknown time.
    await until(is_up_to_date)
    assert await listed() == everything
    assert await listed(limit=1) == everything[:1]
    assert await listed("failed") == []
    ended = await sagas(server, "list", "--status", "stuck", "--query", here)
    assert (ended.code, ended.err) == (0, "")
    assert stuck.id in ended.out


async def test_a_child_that_is_stuck_is_found(harness: WorkerHarness, operator: SagaClient) -> None:
    """The child is listed as stuck, and the parent as running."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", TripPlan(do=("flight", "fail")))
    child = harness.child_of(trip, "leg")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_status(child, "stuck")

    async def found() -> bool:
        sagas = await operator.list(query=f"TaskQueue = '{harness.task_queue}'")
        return [(saga.id, saga.status) for saga in sagas] == [(child.id, "stuck"), (trip.id, "running")]

    await until(found)
    await operator.skip(child.id, "book-flight", **BY_MIA)
    assert await harness.wait_for_ending(trip) == Ending("FAILED", "settled", "Planned")


async def test_a_status_outlives_the_run(harness: WorkerHarness, operator: SagaClient) -> None:
    """A saga that continues as new keeps the status in the next run."""
    latch = harness.participants.block("book-hotel")
    trip = await harness.start_trip("hotel", "again", "flight", "pay")
    await latch.entered.wait()
    await operator.hold(trip.id, **BY_MIA)
    latch.released.set()
    await operator.resume(trip.id, **BY_MIA)

    assert (await harness.wait_for_ending(trip)).saga == "completed"
    assert (await operator.show(trip.id)).status == "completed"


async def test_the_happy_path_writes_nothing(harness: WorkerHarness) -> None:
    """A status costs an event only on another path, as with the search attribute."""
    happy = await harness.start_trip("hotel", "pay")
    unhappy = await harness.start_trip("hotel", "fail")

    for trip, written in ((happy, 0), (unhappy, 2)):
        await harness.wait_for_ending(trip)
        events = [event.event_type async for event in trip.fetch_history_events()]
        assert events.count(WRITTEN) == written
        assert EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES not in events


async def test_a_malformed_query_is_explained(
    harness: WorkerHarness, operator: SagaClient, server: str
) -> None:
    """No error of the server reaches the operator untranslated."""
    with pytest.raises(ValueError, match=r"the server does not understand the query: .*syntax error"):
        await operator.list(query="order seven")
    ended = await sagas(server, "list", "--query", "order seven")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("error: --query: the server does not understand the query: ")
