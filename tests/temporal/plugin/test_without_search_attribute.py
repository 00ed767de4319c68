"""Where sagas write no search attribute, the same stands in their memo, and operators see the same."""

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
from ..fixtures.trip_saga import Plan, breaks, refuses
from ..fixtures.trip_worker import Ending, Handle, Stage

pytestmark = pytest.mark.parametrize("stage", [0], indirect=True, ids=["evicted"])
DONE = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
WRITTEN = EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED
WHY: dict[str, Any] = {"by": "mia", "because": "x"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bare_server(temporal_program: str) -> AsyncIterator[str]:
    """A server that knows no search attribute of ours."""
    async with running_server(temporal_program, BARE_FLAGS) as address:
        yield address


@pytest.fixture(params=["unknown", "known"])
def server(request: pytest.FixtureRequest, server: str, bare_server: str) -> str:
    """Both: somebody may have registered the attribute that the sagas do not write."""
    return server if request.param == "known" else bare_server


@pytest.fixture
async def client(server: str) -> Client:
    """A client whose sagas write no search attribute."""
    return await Client.connect(server, plugins=[SagaPlugin(search_attributes=False)])


@pytest.fixture
def operator(client: Client) -> SagaClient:
    """Who looks."""
    return SagaClient(client)


async def held_trip(stage: Stage, operator: SagaClient) -> Handle:
    """A saga that was told to wait."""
    trip = await stage.start("hotel", "wait")
    await stage.event(trip, DONE)
    assert await operator.hold(trip.id, **WHY) == "held"
    return trip


async def stuck_trip(stage: Stage) -> Handle:
    """A saga whose compensation was refused for good."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    trip = await stage.start("flight", "fail")
    await stage.status(trip, "stuck")
    return trip


async def settled_trip(stage: Stage, operator: SagaClient) -> Handle:
    """A saga of which a step after its pivot was done by hand."""
    stage.agency.when("send-ticket", breaks(final=True))
    trip = await stage.start("pay", "ticket")
    await stage.status(trip, "stuck")
    await operator.complete(trip.id, "send-ticket", **WHY)
    assert await stage.ending(trip) == Ending("COMPLETED", "settled", result=["pay", "ticket"])
    return trip


async def test_a_saga_is_shown_as_what_it_is(stage: Stage, operator: SagaClient) -> None:
    """P8: stuck is stuck, and not merely compensating; one that a person has settled is settled."""
    held = await held_trip(stage, operator)
    stuck = await stuck_trip(stage)
    settled = await settled_trip(stage, operator)
    gate = stage.agency.hold("cancel-car")
    compensating = await stage.start("car", "fail")
    await gate.entered.wait()

    shown = {trip.id: await operator.show(trip.id) for trip in (held, stuck, settled, compensating)}

    assert [story.status for story in shown.values()] == ["held", "stuck", "settled", "compensating"]
    assert shown[stuck.id].since is not None
    assert [wait.what for wait in shown[stuck.id].waits] == ["for a person"]
    gate.opened.set()
    assert (await stage.ending(compensating)).saga == "compensated"
    assert (await operator.show(compensating.id)).status == "compensated"


async def test_sagas_are_listed_as_what_they_are(stage: Stage, operator: SagaClient, server: str) -> None:
    """Those that need a person first; in Python and on the command line."""
    running = await stage.start("hotel", "wait")
    stuck = await stuck_trip(stage)
    held = await held_trip(stage, operator)
    settled = await settled_trip(stage, operator)
    completed = await stage.start("look")
    compensated = await stage.start("hotel", "fail")
    terminated = await stage.start("wait")
    await terminated.terminate("x")
    for trip in (completed, compensated):
        await stage.ending(trip)
    here = f"TaskQueue = '{stage.task_queue}'"

    async def listed(status: str | None = None, limit: int = 100) -> list[tuple[str, str]]:
        found = await operator.list(status=status, query=here, limit=limit)
        return [(saga.id, saga.status) for saga in found]

    everything = [(stuck.id, "stuck"), (held.id, "held"), (running.id, "running")]
    one_each = (stuck, held, running, settled, completed, compensated, terminated)
    statuses = ("stuck", "held", "running", "settled", "completed", "compensated", "terminated")

    async def is_up_to_date() -> bool:
        singles = [await listed(status) for status in statuses]
        return singles == [[(trip.id, status)] for trip, status in zip(one_each, statuses, strict=True)]

    # The server's list follows a moment later, and nobody is told when.
    await until(is_up_to_date)
    assert await listed() == everything
    assert await listed(limit=1) == everything[:1]
    assert await listed("failed") == []
    ended = await sagas(server, "list", "--status", "stuck", "--query", here)
    assert (ended.code, ended.err) == (0, "")
    assert stuck.id in ended.out


async def test_a_child_that_is_stuck_is_found(stage: Stage, operator: SagaClient) -> None:
    """It is the child that is stuck, not its parent."""
    stage.agency.when("cancel-flight", refuses("too_late"))
    trip = await stage.start("hotel", Plan(do=("flight", "fail")))
    child = stage.child_of(trip, "leg")
    await stage.event(trip, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await stage.status(child, "stuck")

    async def found() -> bool:
        sagas = await operator.list(query=f"TaskQueue = '{stage.task_queue}'")
        return [(saga.id, saga.status) for saga in sagas] == [(child.id, "stuck"), (trip.id, "running")]

    await until(found)
    await operator.skip(child.id, "book-flight", **WHY)
    assert await stage.ending(trip) == Ending("FAILED", "settled", "ApplicationError")


async def test_a_status_outlives_the_run(stage: Stage, operator: SagaClient) -> None:
    """A saga that continues as new says in its next run what it said in the one before."""
    gate = stage.agency.hold("book-hotel")
    trip = await stage.start("hotel", "again", "flight", "pay")
    await gate.entered.wait()
    await operator.hold(trip.id, **WHY)
    gate.opened.set()
    await operator.resume(trip.id, **WHY)

    assert (await stage.ending(trip)).saga == "completed"
    assert (await operator.show(trip.id)).status == "completed"


async def test_the_happy_path_writes_nothing(stage: Stage) -> None:
    """Off it, a status costs one event, as it does with the attribute."""
    happy = await stage.start("hotel", "pay")
    unhappy = await stage.start("hotel", "fail")

    for trip, written in ((happy, 0), (unhappy, 2)):
        await stage.ending(trip)
        events = [event.event_type async for event in trip.fetch_history_events()]
        assert events.count(WRITTEN) == written
        assert EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES not in events


async def test_a_query_that_makes_no_sense_is_a_sentence(
    stage: Stage, operator: SagaClient, server: str
) -> None:
    """Nothing of the server's own reaches whoever asks."""
    with pytest.raises(ValueError, match=r"the server does not understand the query: .*syntax error"):
        await operator.list(query="order seven")
    ended = await sagas(server, "list", "--query", "order seven")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("error: --query: the server does not understand the query: ")
