"""Records trips with every feature that the examples do not use."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from sagas import CompensationOrder, ProbeResult, SagaPlugin, start_saga
from sagas.operator import (
    APPROVE,
    HOLD,
    RESUME,
    SKIP,
    ApproveRequest,
    OperatorRequest,
    SagaClient,
    SkipRequest,
)
from tests.temporal.conftest import FLAGS
from tests.temporal.fixtures.section_saga import SectionPlan, SectionSaga, maple
from tests.temporal.fixtures.trip_participants import Response, fails, rejects, returns
from tests.temporal.fixtures.trip_plan import Booking, TripPlan
from tests.temporal.fixtures.trip_saga import TripSaga
from tests.temporal.fixtures.worker_harness import Handle, WorkerHarness
from tests.temporal.independent.parcel_saga import ParcelPlan, ParcelSaga, parcel
from workers._histories.recorder import record_history
from workers._servers.temporal_server import find_temporal_program

NOTE = OperatorRequest(by="mia", because="the participant works again")
LEGS = (TripPlan(do=("flight",), name="left"), TripPlan(do=("car",), name="right"))
FOUND = ProbeResult[Booking](outcome="done", result=Booking(number="found-1"))

ACTIVITY_COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
TASK_COMPLETED = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TIMER_FIRED = EventType.EVENT_TYPE_TIMER_FIRED

ExternalAct = Callable[[WorkerHarness, Handle], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Trip:
    """A saga, the first responses of the participants, the external acts, and the ending."""

    plan: TripPlan | SectionPlan | ParcelPlan
    closed: str = "COMPLETED"
    saga: str | None = None
    responses: tuple[tuple[str, Response], ...] = ()
    external_act: ExternalAct | None = None
    rescues: tuple[str, ...] = ()


def takes(seconds: float) -> Response:
    """The participant answers late."""

    async def respond() -> object:
        await asyncio.sleep(seconds)
        return None

    return respond


async def terminate_and_rescue(harness: WorkerHarness, trip: Handle) -> None:
    """Terminates the saga after two steps, and rescues the saga."""
    await harness.wait_for_event(trip, ACTIVITY_COMPLETED, nth=2)
    await trip.terminate("by mistake")
    rescue = await SagaClient(harness.client).rescue(trip.id, by="mia", because="terminated by mistake")
    await harness.client.get_workflow_handle(rescue.workflow_id).result()


async def send_visa(harness: WorkerHarness, trip: Handle) -> None:
    """Sends the external event while the saga waits for the event."""
    await harness.wait_for_event(trip, ACTIVITY_COMPLETED)
    await trip.signal("visa", Booking(number="v-7"))


async def send_visa_too_late(harness: WorkerHarness, trip: Handle) -> None:
    """Sends the external event after the wait has timed out; the saga keeps the event for the next wait."""
    fired = await harness.wait_for_event(trip, TIMER_FIRED)
    await harness.wait_for_event(trip, TASK_COMPLETED, after=fired.event_id)
    await trip.signal("visa", Booking(number="v-7"))
    await trip.signal("go")


async def approve(harness: WorkerHarness, trip: Handle) -> None:
    """Approves the trip as the boss."""
    await harness.wait_for_event(trip, ACTIVITY_COMPLETED)
    roles = frozenset({"boss"})
    await harness.send_update(
        trip, APPROVE, ApproveRequest(by="mia", because="cheap", approval="big-trip", roles=roles)
    )


async def hold_and_resume(harness: WorkerHarness, trip: Handle) -> None:
    """Holds the saga, sends the awaited signal, and resumes the saga."""
    await harness.wait_for_event(trip, ACTIVITY_COMPLETED)
    await harness.send_update(trip, HOLD, NOTE)
    await trip.signal("go")
    await harness.send_update(trip, RESUME, NOTE)


async def skip(harness: WorkerHarness, trip: Handle) -> None:
    """Skips the rejected compensation."""
    await harness.wait_for_status(trip, "stuck")
    await harness.send_update(
        trip, SKIP, SkipRequest(step="book-flight", by="mia", because="a credit note was sent")
    )


async def retry(harness: WorkerHarness, trip: Handle) -> None:
    """Retries the stuck step."""
    await harness.wait_for_status(trip, "stuck")
    await harness.retry_stuck(trip)


TRIPS = {
    "branches": Trip(TripPlan(do=("hotel", "flight|car", "pay", "ticket"))),
    "failing-branch": Trip(
        TripPlan(do=("hotel", "flight|car")), "FAILED", "compensated", (("book-flight", rejects()),)
    ),
    "children-in-branches": Trip(TripPlan(do=("left|right", "fail"), legs=LEGS), "FAILED", "compensated"),
    "all-at-once": Trip(
        TripPlan(do=("hotel", "flight", "car", "fail"), order=CompensationOrder.PARALLEL),
        "FAILED",
        "compensated",
    ),
    "event-came": Trip(TripPlan(do=("hotel", "visa", "pay")), external_act=send_visa),
    "event-did-not-come": Trip(TripPlan(do=("hotel", "visa0.2", "pay")), "FAILED", "compensated"),
    "event-too-late": Trip(
        TripPlan(do=("hotel", "anyway-visa0.2", "wait", "visa", "pay")), external_act=send_visa_too_late
    ),
    "approved": Trip(TripPlan(do=("hotel", "boss", "pay")), external_act=approve),
    "continued-as-new": Trip(TripPlan(do=("hotel", "again", "flight", "pay", "ticket"))),
    "continued-and-failed": Trip(
        TripPlan(do=("tell", "hotel", "again", "flight", "fail")), "FAILED", "compensated"
    ),
    "held": Trip(
        TripPlan(do=("hotel", "wait", "flight", "pay")), saga="completed", external_act=hold_and_resume
    ),
    "skipped": Trip(
        TripPlan(do=("hotel", "flight", "fail")), "FAILED", "settled", (("cancel-flight", rejects()),), skip
    ),
    "stuck": Trip(
        TripPlan(do=("hotel", "flight", "fail")),
        "FAILED",
        "compensated",
        (("cancel-flight", fails()),),
        retry,
    ),
    "stuck-after-pivot": Trip(
        TripPlan(do=("hotel", "pay", "ticket")),
        saga="completed",
        responses=(("send-ticket", fails()),),
        external_act=retry,
    ),
    "out-of-time": Trip(TripPlan(do=("tell", "hotel", "sleep"), seconds=0.5), "FAILED", "compensated"),
    "probed": Trip(
        TripPlan(do=("probed-hotel", "pay-probed")),
        responses=(
            ("book-hotel", fails()),
            ("find-hotel", returns(FOUND)),
            ("pay", fails()),
            ("find-payment", returns(FOUND)),
        ),
    ),
    "pivot-child": Trip(TripPlan(do=("hotel", TripPlan(do=("flight", "pay"), is_pivot=True), "ticket"))),
    "terminated": Trip(
        TripPlan(do=("hotel", "flight", "wait")),
        "TERMINATED",
        external_act=terminate_and_rescue,
        rescues=("terminated~rescue",),
    ),
}


SECTIONS = {
    "section-failed": Trip(
        SectionPlan(do=("hotel", maple("flight", "car", "look", otherwise=("flight",)), "pay")),
        responses=(("look-around", rejects()),),
    ),
    "section-completed": Trip(
        SectionPlan(
            do=("hotel", maple("flight", "leg", order=CompensationOrder.PARALLEL), "again", "car", "fail")
        ),
        "FAILED",
        "compensated",
    ),
    "section-overdue": Trip(
        SectionPlan(do=(maple("flight", "sleep", seconds=0.3, otherwise=("car",)), "pay"))
    ),
    "section-stuck": Trip(
        SectionPlan(do=(maple("flight", "fail", otherwise=("car",)), "pay")),
        saga="completed",
        responses=(("cancel-flight", fails()),),
        external_act=retry,
    ),
    "first-of": Trip(
        SectionPlan(do=("car", "first-hotel,look?flight", "pay")), responses=(("look-around", rejects()),)
    ),
    "first-of-late": Trip(
        SectionPlan(do=("first-0.2-car?flight", "pay")), responses=(("book-car", takes(1)),)
    ),
    "step-compensated": Trip(
        SectionPlan(do=("flight", "hotel", "compensate-book-flight", "flight", "fail")),
        "FAILED",
        "compensated",
    ),
    "step-forgotten": Trip(
        SectionPlan(do=("flight", "hotel", "forget-book-flight", "fail")), "FAILED", "compensated"
    ),
}
"""Sagas with sections, alternatives, compensated steps and forgotten steps."""

MAPS = {
    "map-completed": Trip(SectionPlan(do=("hotel", "flight[a,b,c,d]<2", "pay", "ticket[a,b]"))),
    "map-failed": Trip(
        SectionPlan(
            do=(maple("flight[a,b]", order=CompensationOrder.PARALLEL), "again", "flight[a,c]", "fail")
        ),
        "FAILED",
        "compensated",
    ),
    "map-cancelled-by-a-failure": Trip(
        SectionPlan(do=("flight[a,b,c,d]<1!",)), "FAILED", "compensated", (("book-flight", rejects()),)
    ),
    "keyed-steps": Trip(
        SectionPlan(
            do=("flight[a]", "compensate-book-flight[a]", "best-effort-flight[a]", "flight[b]", "pay")
        )
    ),
}
"""Sagas with maps and with keyed steps."""


async def cancel(harness: WorkerHarness, order: Handle) -> None:
    """Cancels the saga after the first step of the independent saga."""
    saga = harness.child_of(order, "parcel")
    await harness.wait_for_event(order, EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await harness.wait_for_event(saga, ACTIVITY_COMPLETED)
    await order.cancel()


INDEPENDENT = {
    "parcels-in-branches": Trip(
        ParcelPlan(
            do=(
                "car",
                (parcel("hotel", "pay", name="north"), parcel("flight", "fail")),
                "pay",
                parcel("look"),
            )
        )
    ),
    "parcels-continued": Trip(
        ParcelPlan(do=(parcel("hotel", "pay"), "again", parcel("flight"), "fail")), "FAILED", "compensated"
    ),
    "parcel-cancelled": Trip(
        ParcelPlan(do=("car", parcel("flight", "wait"))), "CANCELED", "compensated", external_act=cancel
    ),
}
"""Sagas with independent sagas."""


RUNS: dict[type, object] = {TripPlan: TripSaga.run, SectionPlan: SectionSaga.run, ParcelPlan: ParcelSaga.run}
"""The run methods, by the type of the plan."""


async def record(folder: Path, trips: Mapping[str, Trip] = TRIPS) -> None:
    """Runs each trip once, and writes the histories of the trip, its child sagas and its rescue."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(find_temporal_program()), dev_server_extra_args=FLAGS
    )
    async with environment:
        address = environment.client.service_client.config.target_host
        client = await Client.connect(address, plugins=[SagaPlugin()])
        for name, trip in trips.items():
            await _record(client, name, trip, folder)


async def _record(client: Client, name: str, trip: Trip, folder: Path) -> None:
    harness = WorkerHarness(client, cache=1000, workflows=[TripSaga, SectionSaga, ParcelSaga])
    for operation, response in trip.responses:
        harness.participants.when(operation, response)
    await harness.start_worker()
    run = RUNS[type(trip.plan)]
    handle: Handle = await start_saga(
        client,
        cast("Callable[[Any, object], Awaitable[object]]", run),
        trip.plan,
        id=name,
        task_queue=harness.task_queue,
    )
    if trip.external_act:
        await trip.external_act(harness, handle)
    ending = await harness.wait_for_ending(handle)
    assert (ending.closed, ending.saga) == (trip.closed, trip.saga), f"{name}: {ending}"
    await harness.stop_workers()
    for saga_id in (name, *trip.rescues):
        await record_history(client, saga_id, folder)
