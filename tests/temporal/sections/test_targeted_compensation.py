"""Compensation of a single step, and steps that the saga forgets."""

from temporalio.api.enums.v1 import EventType

from sagas.operator import SagaClient

from ..fixtures.section_saga import SectionSaga, maple, start_sections
from ..fixtures.trip_participants import fails, rejects
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, WorkerHarness

WORKFLOWS = [SectionSaga, TripSaga]
BY, BECAUSE = "mia", "the guest has called"


async def test_a_step_is_compensated_once_and_the_next_time_has_a_new_key(harness: WorkerHarness) -> None:
    """The saga goes on, and compensates only the second time when failing."""
    saga = await start_sections(harness, "flight", "hotel", "compensate-book-flight", "flight", "fail")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started[2:] == [
        "cancel-flight",
        "book-flight",
        "cancel-flight",
        "cancel-hotel",
        "tell-customer",
    ]
    assert harness.participants.keys["cancel-flight"] == [
        f"{saga.id}:book-flight",
        f"{saga.id}:book-flight#2",
    ]


async def test_a_compensated_step_is_in_the_timeline(harness: WorkerHarness) -> None:
    """Also in the details of the Web UI; the preview does not have the step."""
    saga = await start_sections(harness, "flight", "hotel", "compensate-book-flight", "wait")
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, nth=3)
    operator = SagaClient(harness.client)

    shown, preview = await operator.show(saga.id), await operator.preview(saga.id)

    assert [(line.address, [c.state for c in line.compensations]) for line in shown.steps] == [
        ("book-flight", ["done"]),
        ("book-hotel", ["pending"]),
    ]
    assert (shown.status, shown.compensating_units) == ("running", ())
    assert [each.address for each in preview.compensations] == ["book-hotel"]
    assert preview.remaining_effects == ()
    assert "| book-flight | ✓ done | ✓ compensated |" in await harness.current_details(saga)


async def test_a_child_is_compensated_as_a_whole(harness: WorkerHarness) -> None:
    """The parent runs the compensations of the child, newest first."""
    saga = await start_sections(harness, "leg", "hotel", "compensate-leg", "pay")

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started[3:] == ["cancel-car", "cancel-flight", "pay"]


async def test_a_failing_compensation_of_a_step_makes_the_saga_stuck(harness: WorkerHarness) -> None:
    """The saga is running again after the retry."""
    harness.participants.when("cancel-flight", rejects("closed"))
    saga = await start_sections(harness, "flight", "compensate-book-flight", "pay")
    await harness.wait_for_status(saga, "stuck")
    operator = SagaClient(harness.client)

    assert (await operator.show(saga.id)).compensating_units == ("book-flight",)
    await operator.retry(saga.id, by=BY, because=BECAUSE)

    assert await harness.wait_for_ending(saga) == Ending(
        "COMPLETED", "completed", result=["flight", "compensate-book-flight", "pay"]
    )


async def test_a_step_in_doubt_that_is_compensated_does_not_stop_the_saga(harness: WorkerHarness) -> None:
    """The section around the unknown step is compensated: no doubt is left at the pivot."""
    harness.participants.when("book-flight", fails())
    saga = await start_sections(harness, maple("flight", otherwise=("hotel",)), "pay")

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started == ["book-flight", "cancel-flight", "book-hotel", "pay"]


async def test_a_forgotten_step_stays(harness: WorkerHarness) -> None:
    """The step is one of the remaining effects with the reason, and the saga does not compensate the step."""
    saga = await start_sections(harness, "flight", "hotel", "forget-book-flight", "wait")
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED)
    operator = SagaClient(harness.client)

    shown, preview = await operator.show(saga.id), await operator.preview(saga.id)

    assert [each.address for each in preview.compensations] == ["book-hotel"]
    assert [(each.address, each.reason) for each in preview.remaining_effects] == [
        ("book-flight", "forgotten: the guest has taken over the booking")
    ]
    assert [(each.words, each.by) for each in shown.audit_trail] == [("forget book-flight", "the saga")]
    await saga.cancel()
    assert await harness.wait_for_ending(saga) == Ending("CANCELED", "compensated")
    assert harness.participants.started[2:] == ["cancel-hotel", "tell-customer"]


async def test_a_rescue_leaves_a_forgotten_step_alone(harness: WorkerHarness) -> None:
    """Also when the saga has forgotten the step in an earlier run."""
    saga = await start_sections(harness, "flight", "hotel", "forget-book-flight", "again", "car", "wait")
    await harness.wait_for_next_run(saga)
    latest = harness.client.get_workflow_handle(saga.id)
    await harness.wait_for_event(latest, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await latest.terminate("out of memory")
    operator = SagaClient(harness.client)

    rescue = await operator.rescue(saga.id, by=BY, because=BECAUSE)
    assert rescue.workflow_id is not None
    await harness.client.get_workflow_handle(rescue.workflow_id).result()

    assert harness.participants.started[3:] == ["cancel-car", "cancel-hotel"]
    assert [each.address for each in (await operator.preview(saga.id)).remaining_effects] == ["book-flight"]


async def test_only_a_done_step_can_be_forgotten(harness: WorkerHarness) -> None:
    """A step that was compensated, and a step that the saga does not have, are refused."""
    for do in (("flight", "compensate-book-flight", "forget-book-flight"), ("flight", "forget-book-car")):
        saga = await start_sections(harness, *do)

        assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started.count("cancel-flight") == 2
