"""Operators name a keyed step by its address: in verbs, views, rescues and resets."""

from temporalio.api.enums.v1 import EventType

from sagas.operator import SagaClient, render_timeline

from ..fixtures.sagas_command import sagas
from ..fixtures.section_saga import SectionSaga, start_sections
from ..fixtures.trip_participants import rejects
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, WorkerHarness
from ..operator.test_reset import reset

WORKFLOWS = [SectionSaga, TripSaga]
COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


async def test_a_keyed_step_is_skipped_by_its_address(harness: WorkerHarness, server: str) -> None:
    """The other items are compensated."""
    harness.participants.when("cancel-flight", rejects("closed"))
    saga = await start_sections(harness, "flight[p-1,p-2]<1", "fail")
    await harness.wait_for_status(saga, "stuck")
    operator = SagaClient(harness.client)

    shown, preview = await operator.show(saga.id), await operator.preview(saga.id)
    skipped = await sagas(server, "skip", saga.id, "book-flight[p-2]", "--because", "it is bankrupt")

    assert skipped.code == 0, skipped.err
    assert await harness.wait_for_ending(saga) == Ending("FAILED", "settled", "Planned")
    assert [line.address for line in shown.steps] == ["book-flight[p-1]", "book-flight[p-2]"]
    assert "book-flight[p-2]" in render_timeline(shown)
    assert [each.address for each in preview.compensations] == ["book-flight[p-2]"]


async def test_a_rescue_compensates_keyed_steps_under_their_keys(harness: WorkerHarness) -> None:
    """Also after continue-as-new; each key is compensated once."""
    saga = await start_sections(harness, "flight[a,b]<1", "again", "flight[a]", "wait")
    await harness.wait_for_next_run(saga)
    latest = harness.client.get_workflow_handle(saga.id)
    await harness.wait_for_event(latest, COMPLETED)
    await latest.terminate("out of memory")
    operator = SagaClient(harness.client)

    rescue = await operator.rescue(saga.id, by="mia", because="terminated by mistake")
    assert rescue.workflow_id is not None
    await harness.client.get_workflow_handle(rescue.workflow_id).result()

    assert harness.participants.keys["cancel-flight"] == [
        f"{saga.id}:book-flight[{place}" for place in ("a]#2", "b]", "a]")
    ]


async def test_a_reset_saga_repeats_the_keys(harness: WorkerHarness) -> None:
    """The items after the reset point are sent again under their keys, and a participant knows the keys."""
    saga = await start_sections(harness, "flight[a,b,c]<1", "wait")
    await harness.wait_for_event(saga, COMPLETED, nth=3)

    anew = await reset(harness.client, saga.id, before="book-flight[b]")
    await harness.wait_for_event(anew, COMPLETED, nth=3)
    shown = await SagaClient(harness.client).show(saga.id)
    await anew.cancel()

    assert await harness.wait_for_ending(anew) == Ending("CANCELED", "compensated")
    keys = [f"{saga.id}:book-flight[{place}]" for place in "abc"]
    assert harness.participants.keys["book-flight"] == [*keys, *keys[1:]]
    assert harness.participants.keys["cancel-flight"] == keys[::-1]
    assert [line.address for line in shown.steps] == [f"book-flight[{place}]" for place in "abc"]
