"""`start_saga` starts a saga once per id, and refuses bad ids, large messages and other contents."""

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from temporalio import workflow
from temporalio.client import (
    Client,
    WorkflowHandle,
)
from temporalio.service import RPCError

from sagas import DuplicateSagaError, SagaPlugin, StartError, start_saga

from ..fixtures.trip_saga import NumberlessSaga, Plan, TripSaga
from ..fixtures.trip_worker import Stage
from .lost_history import LostHistory

PLAN = Plan(do=("hotel",))


async def test_second_start_finds_the_first_saga(stage: Stage) -> None:
    """A second start, during the saga or afterwards, finds the first saga."""
    handle = await stage.start("hotel", "wait")
    plan = Plan(do=("hotel", "wait"))

    again = await start_saga(stage.client, TripSaga.run, plan, id=handle.id, task_queue=stage.task_queue)
    await handle.signal("go")
    assert (await stage.ending(again)).closed == "COMPLETED"
    later = await start_saga(stage.client, TripSaga.run, plan, id=handle.id, task_queue=stage.task_queue)

    assert await later.result() == ["hotel", "wait"]
    assert stage.agency.story == ["book-hotel"]


async def test_different_message_is_a_duplicate(stage: Stage) -> None:
    """An id belongs to a single message."""
    handle = await stage.start("hotel")

    with pytest.raises(DuplicateSagaError, match="with the same content to get that saga"):
        await start_saga(
            stage.client, TripSaga.run, Plan(do=("flight",)), id=handle.id, task_queue=stage.task_queue
        )
    await stage.ending(handle)


async def continued(stage: Stage) -> WorkflowHandle[Any, Any]:
    """The first run of a saga that has continued as new."""
    trip = await stage.start("hotel", "again", "wait")
    await stage.next_run(trip)
    return stage.client.get_workflow_handle(trip.id, run_id=trip.first_execution_run_id)


async def test_saga_that_has_continued_as_new_is_compared_by_its_first_message(stage: Stage) -> None:
    """The state given to the second run is not the message of the saga."""
    first = await continued(stage)
    plan = Plan(do=("hotel", "again", "wait"))
    state = Plan(do=("wait",), done=("hotel", "again"))

    again = await start_saga(stage.client, TripSaga.run, plan, id=first.id, task_queue=stage.task_queue)
    with pytest.raises(DuplicateSagaError, match="other content"):
        await start_saga(stage.client, TripSaga.run, state, id=first.id, task_queue=stage.task_queue)

    await again.signal("go")
    assert await again.result() == ["hotel", "again", "wait"]
    assert stage.agency.story == ["book-hotel"]


async def test_saga_without_the_history_of_its_start_is_a_duplicate(stage: Stage, server: str) -> None:
    """The messages cannot be compared, and a different request must not be dropped."""
    first = await continued(stage)
    client = await Client.connect(server, plugins=[SagaPlugin()], interceptors=[LostHistory(first.run_id)])

    for plan in (Plan(do=("hotel", "again", "wait")), Plan(do=("wait",), done=("hotel", "again"))):
        with pytest.raises(DuplicateSagaError):
            await start_saga(client, TripSaga.run, plan, id=first.id, task_queue=stage.task_queue)


class Luggage(BaseModel):
    """A message with a set."""

    bags: frozenset[str]


@workflow.defn
class LuggageSaga:
    @workflow.run
    async def run(self, luggage: Luggage) -> int:
        return len(luggage.bags)


@pytest.mark.parametrize("bags", [["red", "blue"], ["blue", "red"]], ids=str)
async def test_order_of_a_set_does_not_change_the_content(client: Client, bags: list[str]) -> None:
    """Each process orders the members of a set differently."""
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
    """An entity: equal if the ids are."""

    id: str
    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Guest) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True)
class Room:
    """A value with a field excluded from comparison."""

    number: int
    price: int = field(compare=False)


class Party(BaseModel):
    """A message with an entity, a value and a set of entities."""

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
async def test_equal_values_may_have_different_content(client: Client, guests: list[Guest]) -> None:
    """Equality may ignore an important field: an amount of 1000 is not an amount of 1."""
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


async def test_different_workflow_type_is_a_duplicate(stage: Stage) -> None:
    """The same message means a different request to another workflow type."""
    handle = await stage.start("hotel")

    with pytest.raises(DuplicateSagaError):
        await start_saga(stage.client, NumberlessSaga.run, PLAN, id=handle.id, task_queue=stage.task_queue)
    await stage.ending(handle)


@pytest.mark.parametrize("id", ["", "a/b", "a b", "x" * 201])
async def test_malformed_id_is_refused(client: Client, id: str) -> None:  # noqa: A002
    """No workflow is started."""
    with pytest.raises(StartError):
        await start_saga(client, TripSaga.run, PLAN, id=id, task_queue="nobody")
    if id:
        with pytest.raises(RPCError, match="not found"):
            await client.get_workflow_handle(id).describe()


async def test_large_message_is_refused(client: Client) -> None:
    """At most 128 KiB."""
    plan = Plan(do=("x" * 131_072,))

    with pytest.raises(StartError, match="at most 131072"):
        await start_saga(client, TripSaga.run, plan, id="large", task_queue="nobody")
