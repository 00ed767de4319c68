"""What is refused at the door, and what a saga does with a workflow that it should not be in."""

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


async def test_same_saga_twice_is_one_run(stage: Stage) -> None:
    """Who asks again, while it runs or after it has ended, gets the saga that there is."""
    handle = await stage.start("hotel", "wait")
    plan = Plan(do=("hotel", "wait"))

    again = await start_saga(stage.client, TripSaga.run, plan, id=handle.id, task_queue=stage.task_queue)
    await handle.signal("go")
    assert (await stage.ending(again)).closed == "COMPLETED"
    later = await start_saga(stage.client, TripSaga.run, plan, id=handle.id, task_queue=stage.task_queue)

    assert await later.result() == ["hotel", "wait"]
    assert stage.agency.story == ["book-hotel"]


async def test_saga_with_other_content_is_a_duplicate(stage: Stage) -> None:
    """An id means one saga."""
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


async def test_saga_that_has_continued_as_new_is_known_by_what_it_was_started_with(stage: Stage) -> None:
    """What it has given to its next run is nobody's start."""
    first = await continued(stage)
    plan = Plan(do=("hotel", "again", "wait"))
    state = Plan(do=("wait",), done=("hotel", "again"))

    again = await start_saga(stage.client, TripSaga.run, plan, id=first.id, task_queue=stage.task_queue)
    with pytest.raises(DuplicateSagaError, match="other content"):
        await start_saga(stage.client, TripSaga.run, state, id=first.id, task_queue=stage.task_queue)

    await again.signal("go")
    assert await again.result() == ["hotel", "again", "wait"]
    assert stage.agency.story == ["book-hotel"]


async def test_saga_whose_start_is_no_longer_kept_is_a_duplicate(stage: Stage, server: str) -> None:
    """Nobody can tell whether it is the same, and who asks must not take it for theirs."""
    first = await continued(stage)
    client = await Client.connect(server, plugins=[SagaPlugin()], interceptors=[LostHistory(first.run_id)])

    for plan in (Plan(do=("hotel", "again", "wait")), Plan(do=("wait",), done=("hotel", "again"))):
        with pytest.raises(DuplicateSagaError):
            await start_saga(client, TripSaga.run, plan, id=first.id, task_queue=stage.task_queue)


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


async def test_saga_of_another_kind_is_a_duplicate(stage: Stage) -> None:
    """The same content means something else to another saga."""
    handle = await stage.start("hotel")

    with pytest.raises(DuplicateSagaError):
        await start_saga(stage.client, NumberlessSaga.run, PLAN, id=handle.id, task_queue=stage.task_queue)
    await stage.ending(handle)


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
    plan = Plan(do=("x" * 131_072,))

    with pytest.raises(StartError, match="at most 131072"):
        await start_saga(client, TripSaga.run, plan, id="large", task_queue="nobody")
