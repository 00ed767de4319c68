"""What is refused at the door, and what a saga does with a workflow that it should not be in."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    FetchWorkflowHistoryEventsInput,
    Interceptor,
    OutboundInterceptor,
    WorkflowHandle,
    WorkflowHistoryEventAsyncIterator,
)
from temporalio.common import RawValue
from temporalio.service import RPCError
from temporalio.worker import Worker

from sagas import DefinitionError, DuplicateSagaError, Saga, SagaPlugin, StartError, start_saga

from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import TripSaga, WrongResultSaga
from ..fixtures.worker_harness import Ending, WorkerHarness

PLAN = TripPlan(do=("hotel",))


async def test_same_saga_twice_is_one_run(harness: WorkerHarness) -> None:
    """Who asks again, while it runs or after it has ended, gets the saga that there is."""
    handle = await harness.start_trip("hotel", "wait")
    plan = TripPlan(do=("hotel", "wait"))

    again = await start_saga(harness.client, TripSaga.run, plan, id=handle.id, task_queue=harness.task_queue)
    await handle.signal("go")
    assert (await harness.wait_for_ending(again)).closed == "COMPLETED"
    later = await start_saga(harness.client, TripSaga.run, plan, id=handle.id, task_queue=harness.task_queue)

    assert await later.result() == ["hotel", "wait"]
    assert harness.participants.started == ["book-hotel"]


async def test_saga_with_other_content_is_a_duplicate(harness: WorkerHarness) -> None:
    """An id means one saga."""
    handle = await harness.start_trip("hotel")

    with pytest.raises(DuplicateSagaError, match="with the same content to get that saga"):
        await start_saga(
            harness.client,
            TripSaga.run,
            TripPlan(do=("flight",)),
            id=handle.id,
            task_queue=harness.task_queue,
        )
    await harness.wait_for_ending(handle)


async def continued(harness: WorkerHarness) -> WorkflowHandle[Any, Any]:
    """The first run of a saga that has continued as new."""
    trip = await harness.start_trip("hotel", "again", "wait")
    await harness.wait_for_next_run(trip)
    return harness.client.get_workflow_handle(trip.id, run_id=trip.first_execution_run_id)


async def test_saga_that_has_continued_as_new_is_known_by_what_it_was_started_with(
    harness: WorkerHarness,
) -> None:
    """What it has given to its next run is nobody's start."""
    first = await continued(harness)
    plan = TripPlan(do=("hotel", "again", "wait"))
    state = TripPlan(do=("wait",), done=("hotel", "again"))

    again = await start_saga(harness.client, TripSaga.run, plan, id=first.id, task_queue=harness.task_queue)
    with pytest.raises(DuplicateSagaError, match="other content"):
        await start_saga(harness.client, TripSaga.run, state, id=first.id, task_queue=harness.task_queue)

    await again.signal("go")
    assert await again.result() == ["hotel", "again", "wait"]
    assert harness.participants.started == ["book-hotel"]


class Forgetful(Interceptor):
    """A connection to a server that does not keep a run any more."""

    def __init__(self, run_id: str | None) -> None:
        self.run_id = run_id

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002 - Temporal's
        gone = self.run_id

        class Outbound(OutboundInterceptor):
            def fetch_workflow_history_events(
                self,
                input: FetchWorkflowHistoryEventsInput,  # noqa: A002 - Temporal's
            ) -> WorkflowHistoryEventAsyncIterator:
                run_id = str(uuid4()) if input.run_id == gone else input.run_id
                return super().fetch_workflow_history_events(replace(input, run_id=run_id))

        return Outbound(next)


async def test_saga_whose_start_is_no_longer_kept_is_a_duplicate(harness: WorkerHarness, server: str) -> None:
    """Nobody can tell whether it is the same, and who asks must not take it for theirs."""
    first = await continued(harness)
    client = await Client.connect(server, plugins=[SagaPlugin()], interceptors=[Forgetful(first.run_id)])

    for plan in (TripPlan(do=("hotel", "again", "wait")), TripPlan(do=("wait",), done=("hotel", "again"))):
        with pytest.raises(DuplicateSagaError):
            await start_saga(client, TripSaga.run, plan, id=first.id, task_queue=harness.task_queue)


class Luggage(BaseModel):
    """What has no order."""

    bags: frozenset[str]


@workflow.defn
class LuggageSaga:
    @workflow.run
    async def run(self, luggage: Luggage) -> int:
        return len(luggage.bags)


@pytest.mark.parametrize("bags", [["red", "blue"], ["blue", "red"]], ids=str)
async def test_order_of_a_set_makes_no_other_content(client: Client, bags: list[str]) -> None:
    """It is another one in each process."""
    begun: WorkflowHandle[Any, Any] = await client.start_workflow(
        "LuggageSaga", {"bags": bags}, id=f"luggage-{uuid4().hex[:8]}", task_queue="nobody"
    )

    async def start(*bags: str) -> WorkflowHandle[Any, Any]:
        luggage = Luggage(bags=frozenset(bags))
        return await start_saga(client, LuggageSaga.run, luggage, id=begun.id, task_queue="nobody")

    assert (await start("red", "blue")).id == begun.id
    with pytest.raises(DuplicateSagaError):
        await start("red", "green")
    await begun.terminate("the test is over")


class Guest(BaseModel):
    """Somebody who is the same by any name."""

    id: str
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Guest) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True)
class Room:
    """What is the same at any price."""

    number: int
    price: int = field(compare=False)


class Party(BaseModel):
    """Who comes, and where they sleep."""

    host: Guest
    room: Room
    guests: frozenset[Guest]


@workflow.defn
class PartySaga:
    @workflow.run
    async def run(self, party: Party) -> int:
        return len(party.guests)


ANN, BOB, CY = (Guest(id=name[0].lower(), name=name) for name in ("Ann", "Bob", "Cy"))
PARTY = Party(host=ANN, room=Room(7, price=1), guests=frozenset({BOB, CY}))


@pytest.mark.parametrize("guests", [[BOB, CY], [CY, BOB]], ids=["in-order", "turned"])
async def test_values_that_call_themselves_equal_may_be_other_content(
    client: Client, guests: list[Guest]
) -> None:
    """Equality may leave out what matters: an amount of 1000 is not an amount of 1."""
    begun: WorkflowHandle[Any, Any] = await client.start_workflow(
        "PartySaga",
        {"host": ANN, "room": PARTY.room, "guests": guests},
        id=f"party-{uuid4().hex[:8]}",
        task_queue="nobody",
    )

    async def start(**other: object) -> WorkflowHandle[Any, Any]:
        party = PARTY.model_copy(update=other)
        return await start_saga(client, PartySaga.run, party, id=begun.id, task_queue="nobody")

    assert (await start()).id == begun.id
    with pytest.raises(DuplicateSagaError):
        await start(host=Guest(id="a", name="Anna"))
    with pytest.raises(DuplicateSagaError):
        await start(room=Room(7, price=1000))
    with pytest.raises(DuplicateSagaError):
        await start(guests=frozenset({BOB, Guest(id="c", name="Cyril")}))
    await begun.terminate("the test is over")


async def test_saga_of_another_kind_is_a_duplicate(harness: WorkerHarness) -> None:
    """The same content means something else to another saga."""
    handle = await harness.start_trip("hotel")

    with pytest.raises(DuplicateSagaError):
        await start_saga(
            harness.client, WrongResultSaga.run, PLAN, id=handle.id, task_queue=harness.task_queue
        )
    await harness.wait_for_ending(handle)


@pytest.mark.parametrize("id", ["", "a/b", "a b", "x" * 201])
async def test_bad_id_is_refused_before_anything(client: Client, id: str) -> None:  # noqa: A002
    """Nothing has happened."""
    with pytest.raises(StartError):
        await start_saga(client, TripSaga.run, PLAN, id=id, task_queue="nobody")
    if id:
        with pytest.raises(RPCError, match="not found"):
            await client.get_workflow_handle(id).describe()


async def test_large_content_is_refused_before_anything(client: Client) -> None:
    """At most 128 KiB."""
    plan = TripPlan(do=("x" * 131_072,))

    with pytest.raises(StartError, match="at most 131072"):
        await start_saga(client, TripSaga.run, plan, id="large", task_queue="nobody")


@pytest.mark.parametrize("cut", ["execution_timeout", "run_timeout"])
async def test_saga_that_could_be_cut_off_is_refused(harness: WorkerHarness, cut: str) -> None:
    """Such a timeout ends a workflow without a word, and without its compensations."""
    options: dict[str, Any] = {cut: timedelta(hours=1)}
    handle = await harness.client.start_workflow(
        TripSaga.run, PLAN, id=f"{cut}-{harness.cache}", task_queue=harness.task_queue, **options
    )
    harness.workflow_ids.append(handle.id)

    assert await harness.wait_for_ending(handle) == Ending("FAILED", None, "SagaRefused")
    assert harness.participants.started == []


@pytest.mark.parametrize(
    "arguments",
    [[{"do": "hotel"}], [{"do": ["hotel"], "more": 1}], [{}], [7], ["x"], [[PLAN]]],
    ids=str,
)
async def test_content_of_another_type_fails_the_workflow(
    harness: WorkerHarness, arguments: list[object]
) -> None:
    """With the reason; it does not wait for ever for code that could read it."""
    handle: WorkflowHandle[Any, Any] = await harness.client.start_workflow(
        "TripSaga",
        args=arguments,
        id=f"bad-{uuid4().hex[:8]}",
        task_queue=harness.task_queue,
    )
    harness.workflow_ids.append(handle.id)

    assert await harness.wait_for_ending(handle) == Ending("FAILED", None, "ValidationError")
    assert harness.participants.started == []


@pytest.mark.parametrize(
    "argument",
    [
        None,
        b"plan",
        RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{")),
        RawValue(Payload(metadata={"encoding": b"nobody/knows"}, data=b"{}")),
        RawValue(Payload()),
    ],
    ids=["null", "binary", "broken-json", "unknown-encoding", "empty"],
)
async def test_content_that_cannot_be_read_fails_the_workflow(
    harness: WorkerHarness, argument: object
) -> None:
    """As above, whoever has sent it."""
    handle: WorkflowHandle[Any, Any] = await harness.client.start_workflow(
        "TripSaga", argument, id=f"unread-{uuid4().hex[:8]}", task_queue=harness.task_queue
    )
    harness.workflow_ids.append(handle.id)

    assert (await harness.wait_for_ending(handle)).closed == "FAILED"
    assert harness.participants.started == []


@workflow.defn
class Naked:
    @workflow.run
    async def run(self, word: str) -> str:
        async with Saga():
            return word


async def test_saga_without_the_plugin_says_what_is_missing(server: str) -> None:
    """In its failing workflow task, where operators look."""
    plain = await Client.connect(server)
    harness = WorkerHarness(plain, cache=1000)
    async with Worker(plain, task_queue=harness.task_queue, workflows=[Naked]):
        handle = await plain.start_workflow(Naked.run, "x", id="naked", task_queue=harness.task_queue)
        failed = await harness.wait_for_event(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
        await handle.terminate("the test is over")

    assert "SagaPlugin()" in failed.workflow_task_failed_event_attributes.failure.message


@workflow.defn
class TooEarly:
    def __init__(self) -> None:
        try:
            Saga()
        except DefinitionError as error:
            self.refusal = str(error)

    @workflow.run
    async def run(self) -> str:
        return self.refusal


async def test_saga_outside_of_run_says_where_it_belongs(client: Client) -> None:
    """The plugin is there, so nobody is sent to look for it alone."""
    queue = f"early-{uuid4().hex[:8]}"
    async with Worker(client, task_queue=queue, workflows=[TooEarly]):
        refusal = await client.execute_workflow(TooEarly.run, id=queue, task_queue=queue)

    assert refusal.startswith("a saga is opened in the `run` of a workflow")


async def test_plugin_given_to_client_and_worker_is_there_once(client: Client) -> None:
    """Temporal warns of it; its sagas and their children run as ever."""
    harness = WorkerHarness(client, cache=1000)
    with pytest.warns(UserWarning, match="present from both client and worker"):
        worker = Worker(
            client,
            task_queue=harness.task_queue,
            workflows=harness.workflows,
            activities=harness.participants.activities(),
            plugins=[SagaPlugin()],
        )
    async with worker:
        trip = await harness.start_trip(TripPlan(do=("hotel",)), "fail")
        assert (await harness.wait_for_ending(trip)).saga == "compensated"

    assert harness.participants.started == ["book-hotel", "cancel-hotel"]


@pytest.mark.parametrize("other", [{"search_attributes": False}, {"authorize": lambda verb, note: None}])
def test_two_plugins_that_differ_are_refused(client: Client, other: dict[str, Any]) -> None:
    """One of them would be passed over, such as the one that asks who may use a verb."""
    with (
        pytest.warns(UserWarning, match="present from both client and worker"),
        pytest.raises(DefinitionError, match="give one to the client"),
    ):
        Worker(client, task_queue="nobody", workflows=[TooEarly], plugins=[SagaPlugin(**other)])


def test_plugin_is_named() -> None:
    """Temporal warns when it is given twice."""
    assert SagaPlugin().name() == "sagas"
