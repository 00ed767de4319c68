"""Records trips of every kind that the examples do not make: `python -m tests.histories.agency`.

Only to be done when the SDK has not been released since they were recorded, as with the others. Those that
are there are kept: delete the folder of one to have it recorded anew.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from sagas import CompensationOrder, ProbeResult, SagaPlugin, start_saga
from sagas.operator import APPROVE, HOLD, RESUME, SKIP, ApproveRequest, OperatorRequest, SkipRequest
from tests.temporal.conftest import FLAGS
from tests.temporal.fixtures.trip_saga import (
    Agency,
    Answer,
    Booking,
    Plan,
    TripSaga,
    answers,
    breaks,
    refuses,
)
from tests.temporal.fixtures.trip_worker import Handle, Stage
from workers import run_main
from workers._histories.recorder import record_history
from workers._servers.temporal_server import find_temporal_program

FOLDER = Path(__file__).parent
NOTE = OperatorRequest(by="mia", because="the line is mended")
LEGS = (Plan(do=("flight",), name="left"), Plan(do=("car",), name="right"))
FOUND = ProbeResult[Booking](outcome="done", result=Booking(number="found-1"))

COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
HEARD = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
TIMER_FIRED = EventType.EVENT_TYPE_TIMER_FIRED

Outside = Callable[[Stage, Handle], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Trip:
    """A saga, how its participants answer at first, what happens around it, and how it closes."""

    plan: Plan
    closed: str = "COMPLETED"
    saga: str | None = None
    script: tuple[tuple[str, Answer], ...] = ()
    outside: Outside | None = None


async def send_visa(stage: Stage, trip: Handle) -> None:
    """While it is waited for."""
    await stage.event(trip, COMPLETED)
    await trip.signal("visa", Booking(number="v-7"))


async def send_visa_too_late(stage: Stage, trip: Handle) -> None:
    """It is kept for the next wait."""
    fired = await stage.event(trip, TIMER_FIRED)
    await stage.event(trip, HEARD, after=fired.event_id)
    await trip.signal("visa", Booking(number="v-7"))
    await trip.signal("go")


async def approve(stage: Stage, trip: Handle) -> None:
    """As the boss."""
    await stage.event(trip, COMPLETED)
    roles = frozenset({"boss"})
    await stage.ask(
        trip, APPROVE, ApproveRequest(by="mia", because="cheap", approval="big-trip", roles=roles)
    )


async def hold_and_resume(stage: Stage, trip: Handle) -> None:
    """What it waits for comes meanwhile."""
    await stage.event(trip, COMPLETED)
    await stage.ask(trip, HOLD, NOTE)
    await trip.signal("go")
    await stage.ask(trip, RESUME, NOTE)


async def skip(stage: Stage, trip: Handle) -> None:
    """The compensation that is refused."""
    await stage.status(trip, "stuck")
    await stage.ask(trip, SKIP, SkipRequest(step="book-flight", by="mia", because="a credit note was sent"))


async def retry(stage: Stage, trip: Handle) -> None:
    """What is stuck."""
    await stage.status(trip, "stuck")
    await stage.retry(trip)


TRIPS = {
    "branches": Trip(Plan(do=("hotel", "flight|car", "pay", "ticket"))),
    "failing-branch": Trip(
        Plan(do=("hotel", "flight|car")), "FAILED", "compensated", (("book-flight", refuses()),)
    ),
    "children-in-branches": Trip(Plan(do=("left|right", "fail"), legs=LEGS), "FAILED", "compensated"),
    "all-at-once": Trip(
        Plan(do=("hotel", "flight", "car", "fail"), order=CompensationOrder.PARALLEL), "FAILED", "compensated"
    ),
    "event-came": Trip(Plan(do=("hotel", "visa", "pay")), outside=send_visa),
    "event-did-not-come": Trip(Plan(do=("hotel", "visa0.2", "pay")), "FAILED", "compensated"),
    "event-too-late": Trip(
        Plan(do=("hotel", "anyway-visa0.2", "wait", "visa", "pay")), outside=send_visa_too_late
    ),
    "approved": Trip(Plan(do=("hotel", "boss", "pay")), outside=approve),
    "continued-as-new": Trip(Plan(do=("hotel", "again", "flight", "pay", "ticket"))),
    "continued-and-failed": Trip(
        Plan(do=("tell", "hotel", "again", "flight", "fail")), "FAILED", "compensated"
    ),
    "held": Trip(Plan(do=("hotel", "wait", "flight", "pay")), saga="completed", outside=hold_and_resume),
    "skipped": Trip(
        Plan(do=("hotel", "flight", "fail")), "FAILED", "settled", (("cancel-flight", refuses()),), skip
    ),
    "stuck": Trip(
        Plan(do=("hotel", "flight", "fail")), "FAILED", "compensated", (("cancel-flight", breaks()),), retry
    ),
    "stuck-after-pivot": Trip(
        Plan(do=("hotel", "pay", "ticket")),
        saga="completed",
        script=(("send-ticket", breaks()),),
        outside=retry,
    ),
    "out-of-time": Trip(Plan(do=("tell", "hotel", "sleep"), seconds=0.5), "FAILED", "compensated"),
    "probed": Trip(
        Plan(do=("probed-hotel", "pay-probed")),
        script=(
            ("book-hotel", breaks()),
            ("find-hotel", answers(FOUND)),
            ("pay", breaks()),
            ("find-payment", answers(FOUND)),
        ),
    ),
    "pivot-child": Trip(Plan(do=("hotel", Plan(do=("flight", "pay"), is_pivot=True), "ticket"))),
}


async def record() -> None:
    """Runs each trip once, and writes its history, and those of its children, beside this file."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(find_temporal_program()), dev_server_extra_args=FLAGS
    )
    async with environment:
        address = environment.client.service_client.config.target_host
        client = await Client.connect(address, plugins=[SagaPlugin()])
        for name, trip in TRIPS.items():
            if not (FOLDER / name).exists():
                await _record(client, name, trip)
                print(f"recorded {name}")


async def _record(client: Client, name: str, trip: Trip) -> None:
    stage = Stage(client, cache=1000, agency=Agency())
    for operation, answer in trip.script:
        stage.agency.when(operation, answer)
    await stage.open()
    handle: Handle = await start_saga(
        client,
        TripSaga.run,
        trip.plan,
        id=name,
        task_queue=stage.task_queue,
    )
    if trip.outside:
        await trip.outside(stage, handle)
    ending = await stage.ending(handle)
    assert (ending.closed, ending.saga) == (trip.closed, trip.saga), f"{name}: {ending}"
    await stage.close()
    await record_history(client, name, FOLDER)


if __name__ == "__main__":
    run_main(record())
