"""A section is a savepoint: a failed section is compensated as a unit, and the saga can go another way."""

import pytest
from temporalio.api.enums.v1 import EventType

from sagas import CompensationOrder
from sagas.operator import SagaClient

from ..fixtures.section_saga import SectionPlan, SectionSaga, maple, start_sections
from ..fixtures.trip_participants import fails, rejects
from ..fixtures.trip_saga import TripSaga
from ..fixtures.worker_harness import Ending, WorkerHarness

WORKFLOWS = [SectionSaga, TripSaga]


async def test_a_failed_section_is_compensated_and_the_saga_goes_another_way(harness: WorkerHarness) -> None:
    """Only the steps of the section are compensated, newest first, before the other way begins."""
    harness.participants.when("look-around", rejects())

    saga = await start_sections(
        harness, "hotel", maple("flight", "car", "look", otherwise=("flight",)), "pay"
    )

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started == [
        "book-hotel",
        "book-flight",
        "book-car",
        "look-around",
        "cancel-car",
        "cancel-flight",
        "book-flight",
        "pay",
    ]
    assert harness.participants.keys["book-flight"] == [f"{saga.id}:book-flight", f"{saga.id}:book-flight#2"]
    assert harness.participants.keys["cancel-flight"] == [f"{saga.id}:book-flight"]


async def test_an_uncaught_failure_of_a_section_fails_the_saga(harness: WorkerHarness) -> None:
    """The section compensates first, then the saga; no step is compensated twice."""
    harness.participants.when("look-around", rejects("no_room"))

    saga = await start_sections(harness, "hotel", maple("flight", "look"))

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "no_room")
    assert harness.participants.started[-3:] == ["cancel-flight", "cancel-hotel", "tell-customer"]


async def test_a_completed_section_is_one_unit_of_the_saga(harness: WorkerHarness) -> None:
    """The steps of the section are compensated in the order of the section, inside the order of the saga."""
    section = maple("flight", "car", order=CompensationOrder.PARALLEL)
    saga = await start_sections(harness, "hotel", section, "hotel", "fail")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "Planned")
    cancelled = harness.participants.started[-5:-1]
    assert (cancelled[0], cancelled[3]) == ("cancel-hotel", "cancel-hotel")
    assert set(cancelled[1:3]) == {"cancel-flight", "cancel-car"}


async def test_a_section_with_an_unknown_step_compensates_the_step(harness: WorkerHarness) -> None:
    """A step in doubt is compensated with the section, and the saga can complete."""
    harness.participants.when("book-flight", fails())

    saga = await start_sections(harness, "hotel", maple("car", "flight", otherwise=("car",)), "pay")

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started[3:5] == ["cancel-flight", "cancel-car"]


async def test_a_section_in_a_section_is_compensated_before_the_outer_section(harness: WorkerHarness) -> None:
    """The failure of the inner section is handled by the outer section, and the saga compensates the rest."""
    harness.participants.when("look-around", rejects())
    inner = SectionPlan(do=("flight", "look"), name="inner", otherwise=("car", "fail"))

    saga = await start_sections(harness, "hotel", maple("hotel", inner, otherwise=("pay",)))

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started[2:] == [
        "book-flight",
        "look-around",
        "cancel-flight",
        "book-car",
        "cancel-car",
        "cancel-hotel",
        "pay",
    ]


async def test_an_overdue_section_compensates(harness: WorkerHarness) -> None:
    """The step under way is cancelled, and the code of the failure is `deadline_exceeded`."""
    saga = await start_sections(harness, "hotel", maple("flight", "sleep", seconds=0.3))

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "deadline_exceeded")
    assert harness.participants.started[-3:] == ["cancel-flight", "cancel-hotel", "tell-customer"]
    assert len(await harness.timer_durations(saga)) == 2  # the timeout, and the sleep


async def test_an_activity_under_way_when_a_section_is_overdue_is_compensated(harness: WorkerHarness) -> None:
    """The outcome of the cancelled action is unknown."""
    car = harness.participants.block("book-car")
    saga = await start_sections(harness, maple("flight", "car", seconds=0.3, otherwise=("pay",)))
    await car.entered.wait()
    await harness.wait_for_event(saga, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    car.released.set()

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started == [
        "book-flight",
        "book-car",
        "cancel-car",
        "cancel-flight",
        "pay",
    ]


async def test_a_section_in_time_cancels_the_timer(harness: WorkerHarness) -> None:
    """The timeout costs one timer, and no further event."""
    saga = await start_sections(harness, maple("flight", seconds=3600), "pay")

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    kinds = [event.event_type async for event in saga.fetch_history_events()]
    assert kinds.count(EventType.EVENT_TYPE_TIMER_CANCELED) == 1
    assert EventType.EVENT_TYPE_MARKER_RECORDED not in kinds


async def test_a_completed_section_can_be_compensated_later(harness: WorkerHarness) -> None:
    """Before the pivot, at any time; the saga does not compensate the section again."""
    saga = await start_sections(harness, "hotel", maple("flight", "car"), "hotel", "compensate-maple", "fail")

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "Planned")
    assert harness.participants.started[4:] == [
        "cancel-car",
        "cancel-flight",
        "cancel-hotel",
        "cancel-hotel",
        "tell-customer",
    ]


@pytest.mark.parametrize(
    "do",
    [
        ("hotel", maple("flight"), "compensate-maple", "compensate-maple"),
        ("hotel", maple("flight", "compensate-maple")),
        ("hotel", maple("flight", "pay")),
        ("hotel", maple("flight", "again")),
        ("hotel", maple("flight"), "compensate-book-car"),
        ("hotel", "flight", "compensate-book-flight", "compensate-book-flight"),
    ],
    ids=["twice", "open", "pivot", "continue-as-new", "no such step", "step twice"],
)
async def test_a_wrong_call_compensates_the_saga(
    harness: WorkerHarness, do: "tuple[str | SectionPlan, ...]"
) -> None:
    """The error is a definition error, and no step is left or compensated twice."""
    saga = await start_sections(harness, *do)

    assert await harness.wait_for_ending(saga) == Ending("FAILED", "compensated", "DefinitionError")
    assert harness.participants.started.count("cancel-flight") == harness.participants.started.count(
        "book-flight"
    )
    assert harness.participants.started.count("cancel-hotel") == 1
    assert "pay" not in harness.participants.started


async def test_a_section_after_the_pivot_is_refused(harness: WorkerHarness) -> None:
    """The refusal fails the workflow task until the code is mended, as any error after the pivot."""
    saga = await start_sections(harness, "pay", maple("flight"))

    failed = await harness.wait_for_event(saga, EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)

    text = failed.workflow_task_failed_event_attributes.failure.message
    assert "section 'maple' comes after the pivot" in text
    assert "book-flight" not in harness.participants.started


async def test_branches_have_sections_of_their_own(harness: WorkerHarness) -> None:
    """A failing branch compensates its section; a cancelled branch compensates its section too."""
    harness.participants.when("book-flight", rejects("no_seat"))

    saga = await start_sections(harness, "hotel", maple("hotel,flight/car,wait", otherwise=("pay",)))

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    started = harness.participants.started
    assert started.count("cancel-hotel") == 1
    assert started.count("cancel-car") == 1
    assert started[-1] == "pay"


async def test_a_timeout_around_a_section_compensates_the_section(harness: WorkerHarness) -> None:
    """A timeout of the calling code ends the wait inside of the section; the timeout then is the failure."""
    saga = await start_sections(harness, "hotel", maple("flight", "asyncio-timeout", otherwise=("pay",)))

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started == ["book-hotel", "book-flight", "cancel-flight", "pay"]


async def test_a_child_in_a_section_is_compensated_with_the_section(harness: WorkerHarness) -> None:
    """The parent runs the compensations of the completed child."""
    saga = await start_sections(harness, "hotel", maple("leg", "fail", otherwise=("pay",)))

    assert (await harness.wait_for_ending(saga)).closed == "COMPLETED"
    assert harness.participants.started[3:] == ["cancel-car", "cancel-flight", "pay"]


async def test_a_stuck_section_makes_the_saga_stuck_and_is_resolved_by_a_person(
    harness: WorkerHarness,
) -> None:
    """The saga names the section; after a skip the saga goes on, and ends as settled."""
    harness.participants.when("cancel-flight", rejects("closed"))
    saga = await start_sections(harness, maple("flight", "fail", otherwise=("pay",)))
    await harness.wait_for_status(saga, "stuck")
    operator = SagaClient(harness.client)

    shown = await operator.show(saga.id)
    assert (shown.status, shown.compensating_units) == ("stuck", ("maple",))
    assert shown.steps[0].sections == ("maple",)
    assert [each.address for each in (await operator.preview(saga.id)).compensations] == ["book-flight"]
    await operator.skip(saga.id, "book-flight", by="mia", because="the airline is bankrupt")

    assert await harness.wait_for_ending(saga) == Ending("COMPLETED", "settled", result=["maple"])
    assert harness.participants.started[-1] == "pay"


async def test_the_ledger_keeps_sections_over_continue_as_new(harness: WorkerHarness) -> None:
    """The steps of a completed section are a unit in the next run, too."""
    section = maple("flight", "car", order=CompensationOrder.PARALLEL)
    saga = await start_sections(harness, "hotel", section, "again", "hotel", "fail")
    await harness.wait_for_next_run(saga)

    assert (await harness.wait_for_ending(harness.client.get_workflow_handle(saga.id))).code == "Planned"
    cancelled = harness.participants.started[-5:-1]
    assert (cancelled[0], cancelled[3]) == ("cancel-hotel", "cancel-hotel")
