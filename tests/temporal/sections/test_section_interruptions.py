"""A cancel, a request to compensate, or a termination while a section compensates."""

from temporalio.api.enums.v1 import EventType

from sagas.operator import SagaClient

from ..fixtures.section_saga import SectionSaga, maple, start_sections
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, WorkerHarness

WORKFLOWS = [SectionSaga, TripSaga]
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
BY, BECAUSE = "mia", "the guest has called"


async def test_a_cancel_lets_the_section_finish_and_then_compensates_the_saga(harness: WorkerHarness) -> None:
    """The other way of the saga does not begin."""
    flight = harness.participants.block("cancel-flight")
    saga = await start_sections(harness, "hotel", maple("flight", "fail", otherwise=("car",)))
    await flight.entered.wait()

    await saga.cancel()
    await harness.wait_for_event(saga, CANCEL_REQUESTED)
    flight.released.set()

    assert await harness.wait_for_ending(saga) == Ending("CANCELED", "compensated")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel", "tell-customer"]


async def test_a_request_to_compensate_lets_the_section_finish(harness: WorkerHarness) -> None:
    """The saga then compensates because of the request."""
    flight = harness.participants.block("cancel-flight")
    saga = await start_sections(harness, "hotel", maple("flight", "fail", otherwise=("car",)))
    await flight.entered.wait()

    await SagaClient(harness.client).compensate(saga.id, by=BY, because=BECAUSE)
    flight.released.set()

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "compensation_requested")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel", "tell-customer"]


async def test_a_cancel_inside_of_a_section_compensates_the_saga_as_a_whole(harness: WorkerHarness) -> None:
    """The status is compensating from the first compensation on."""
    saga = await start_sections(harness, "hotel", maple("flight", "wait", otherwise=("car",)))
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=2)
    flight = harness.participants.block("cancel-flight")

    await saga.cancel()
    await flight.entered.wait()

    assert (await SagaClient(harness.client).show(saga.id)).status == "compensating"
    flight.released.set()
    assert await harness.wait_for_ending(saga) == Ending("CANCELED", "compensated")
    assert harness.participants.started[2:] == ["cancel-flight", "cancel-hotel", "tell-customer"]


async def test_a_saga_terminated_while_a_section_compensates_is_rescued(harness: WorkerHarness) -> None:
    """The rescue compensates the rest of the section, then the rest of the saga; no step twice."""
    flight = harness.participants.block("cancel-flight")
    section = maple("flight", "car", "fail", otherwise=("car",))
    saga = await start_sections(harness, "hotel", section)
    await flight.entered.wait()
    await saga.terminate("out of memory")
    flight.released.set()
    operator = SagaClient(harness.client)

    assert [each.address for each in (await operator.preview(saga.id)).compensations] == [
        "book-flight",
        "book-hotel",
    ]
    rescue = await operator.rescue(saga.id, by=BY, because=BECAUSE)
    assert rescue.workflow_id is not None
    await harness.client.get_workflow_handle(rescue.workflow_id).result()

    assert harness.participants.keys["cancel-car"] == [f"{saga.id}:book-car"]
    assert set(harness.participants.keys["cancel-flight"]) == {f"{saga.id}:book-flight"}
    assert harness.participants.keys["cancel-hotel"] == [f"{saga.id}:book-hotel"]


async def test_a_held_saga_compensates_a_section_and_then_waits(harness: WorkerHarness) -> None:
    """A hold stops forward steps only."""
    flight = harness.participants.block("cancel-flight")
    saga = await start_sections(harness, "hotel", maple("flight", "fail", otherwise=("pay",)))
    await flight.entered.wait()
    operator = SagaClient(harness.client)

    await operator.hold(saga.id, by=BY, because=BECAUSE)
    flight.released.set()
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=3)
    assert "pay" not in harness.participants.started
    await operator.resume(saga.id, by=BY, because=BECAUSE)

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started[-1] == "pay"
