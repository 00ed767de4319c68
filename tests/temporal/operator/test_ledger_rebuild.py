"""What a saga owes, rebuilt from its history alone, is what the saga itself says that it owes."""

import json
import re
from collections.abc import Sequence

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from sagas import COMPLETE, SKIP, CompensationScope, CompleteRequest, SkipRequest
from sagas._core.compensation import flatten
from sagas._core.ids import COMPENSATE, PROBE
from sagas._core.ledger import Ledger
from sagas._core.outcome import Outcome
from sagas._core.purpose import Purpose
from sagas._history.fetch import HistoryFetcher
from sagas._history.ledger_rebuild import RecoveryDirection, rebuild_saga
from sagas._history.parser import read_history
from sagas._history.saga_record import SagaRecord
from sagas._wire.activity_header import HEADER, ActivityHeader, read_header

from ..fixtures.trip_participants import Response, fails, rejects, returns
from ..fixtures.trip_plan import TripPlan
from ..fixtures.worker_harness import Handle, WorkerHarness

pytestmark = pytest.mark.parametrize("harness", [0], indirect=True, ids=["evicted"])

WORDS = {
    "under way": Outcome.STARTED,
    "done": Outcome.DONE,
    "rejected": Outcome.REJECTED,
    "unknown": Outcome.UNKNOWN,
    "withdrawn": Outcome.WITHDRAWN,
}


async def said_by_the_saga(handle: Handle) -> list[tuple[str, Outcome, bool]]:
    """The table that the saga makes of its own ledger: address, outcome, whether it is compensated."""
    metadata = await handle.query("__temporal_workflow_metadata")
    rows = re.findall(r"^\| ([a-z][^|]*) \| ([^|]*) \| ([^|]*)\|$", metadata.current_details, re.MULTILINE)
    return [
        (address, next(o for word, o in WORDS.items() if word in said), "✓" in made_up)
        for address, said, made_up in rows
        if address != "step"
    ]


def said_by_history(ledger: Ledger) -> list[tuple[str, Outcome, bool]]:
    return [
        (
            e.address,
            e.outcome,
            bool(e.compensations) and all(c.address in ledger.compensated for c in flatten(e.compensations)),
        )
        for e in ledger.entries.values()
    ]


def check_against_events(events: Sequence[HistoryEvent], record: SagaRecord) -> None:
    """What must hold at any moment, told from the events by other means than the code under test."""
    rebuilt = rebuild_saga(record)
    owed = {compensation.address for compensation in rebuilt.pending()}
    marks: dict[str, ActivityHeader] = {}
    ids: dict[int, str] = {}
    done, made_up, without_effect = set[str](), set[str](), set[str]()
    has_pivot = False
    for event in events:
        scheduled = event.activity_task_scheduled_event_attributes
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            ids[event.event_id] = scheduled.activity_id
            marks[scheduled.activity_id] = read_header(scheduled.header.fields[HEADER])
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            completed = event.activity_task_completed_event_attributes
            name = ids[completed.scheduled_event_id]
            if b'"rejected"' in completed.result.payloads[0].data:
                without_effect.add(name.removeprefix(PROBE))
            (made_up if name.startswith(COMPENSATE) else done).add(name.removeprefix(COMPENSATE))
            has_pivot = has_pivot or marks[name].purpose is Purpose.PIVOT
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            failed = event.activity_task_failed_event_attributes
            if failed.failure.application_failure_info.type == "Rejected":
                without_effect.add(ids[failed.scheduled_event_id])
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            accepted = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
            ids[event.event_id] = json.loads(accepted.args.payloads[0].data)["step"]
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
            made_up.add(ids[event.workflow_execution_update_completed_event_attributes.accepted_event_id])
    counted = {name for name, mark in marks.items() if mark.owes is not None}
    own = {address for address in owed if ":" not in address}
    if has_pivot:
        assert not owed
        return
    is_attempted = any(mark.scope is CompensationScope.ATTEMPTED for mark in marks.values())
    must = counted - made_up - (set() if is_attempted else without_effect)
    withdrawn = {e.address for e in rebuilt.ledger.entries.values() if e.outcome is Outcome.WITHDRAWN}
    assert own == must - withdrawn
    assert (done & counted) - made_up <= own


PLANS: dict[str, tuple[str | TripPlan, ...]] = {
    "happy": ("hotel", "flight", "pay", "ticket"),
    "fail": ("tell", "hotel", "flight", "fail"),
    "same-step-twice": ("hotel", "hotel", "car", "fail"),
    "parallel": ("hotel+flight+car", "fail"),
    "best-effort": ("hotel", "best-effort-flight", "pay", "best-effort-ticket"),
    "closed-child": ("flight", TripPlan(do=("hotel", "car")), "look", "fail"),
    "failing-child": ("flight", TripPlan(do=("hotel", "car", "fail")), "look"),
    "grandchild": (TripPlan(do=("car", TripPlan(do=("hotel", "hotel"), name="night"), "flight")), "fail"),
    "same-child-twice": (TripPlan(do=("hotel",)), TripPlan(do=("hotel",)), "fail"),
    "branches": ("hotel|flight,car", "look", "fail"),
    "all-at-once": ("hotel", "car", "fail"),
    "passed-over": ("hotel", "anyway-flight", "fail"),
    "no-pivot-child": ("hotel", TripPlan(do=("flight", "fail", "pay"), is_pivot=True), "ticket"),
    "pivot-child": ("hotel", TripPlan(do=("flight", "pay", "look"), is_pivot=True), "ticket"),
    "again": ("hotel", TripPlan(do=("flight", "car")), "again", "hotel", "again", "car", "fail"),
    "again-and-pivot": ("hotel", "again", "pay", "again", "ticket"),
    "child-and-pivot": ("hotel", TripPlan(do=("flight", "car")), "pay", "best-effort-car", "ticket"),
}


async def check_everything(harness: WorkerHarness, handle: Handle) -> SagaRecord:
    """At the end it says the same as the saga; at any moment, nothing that cannot be."""
    record = await HistoryFetcher(harness.client).family(handle.id)
    # A handle knows the first run of a saga that has continued as new; the archive has read them all.
    handle = harness.client.get_workflow_handle(handle.id)
    assert said_by_history(rebuild_saga(record).ledger) == await said_by_the_saga(handle)
    await check_prefixes(harness.client, handle.id)
    for child in record.children:
        if child.has_started:
            await check_everything(harness, harness.client.get_workflow_handle(child.id))
    return record


async def check_prefixes(client: Client, saga_id: str) -> None:
    events = [event async for event in client.get_workflow_handle(saga_id).fetch_history_events()]
    for length in range(1, len(events) + 1):
        record = read_history(saga_id, events[:length], client.data_converter)
        if record.carried is None and not any(child.is_pivot for child in record.children):
            check_against_events(events[:length], record)


@pytest.mark.parametrize("do", PLANS.values(), ids=PLANS.keys())
async def test_ledger_rebuilt_from_history_is_the_sagas_own(
    harness: WorkerHarness, do: tuple[str | TripPlan, ...]
) -> None:
    """With outcomes, compensations and children, at its end; and consistent after each event."""
    trip = await harness.start_trip(*do)
    await harness.wait_for_ending(trip)

    await check_everything(harness, trip)


@pytest.mark.parametrize("scope", list(CompensationScope))
@pytest.mark.parametrize("operation", ["book-flight", "book-car", "pay"])
@pytest.mark.parametrize("answer", [rejects(), fails()], ids=["refused", "unknown"])
async def test_ledger_knows_what_was_refused_and_what_is_unknown(
    harness: WorkerHarness, scope: CompensationScope, operation: str, answer: Response
) -> None:
    """By the same rules as the saga."""
    harness.participants.when(operation, answer)

    trip = await harness.start_trip("hotel", TripPlan(do=("flight",)), "car", "pay", "ticket", scope=scope)
    await harness.wait_for_ending(trip)

    await check_everything(harness, trip)


async def test_child_says_what_its_history_says(harness: WorkerHarness) -> None:
    """What a completed child hands to its parent is, to the letter, what is rebuilt from its history."""
    plan = TripPlan(do=("car", TripPlan(do=("hotel", "flight"), name="night"), "look", "hotel"))
    trip = await harness.start_trip("flight", plan, "fail")
    await harness.wait_for_ending(trip)

    record = await HistoryFetcher(harness.client).family(trip.id)
    child = record.children[0]

    assert child.close is not None
    assert child.record is not None
    assert child.close.owed == rebuild_saga(child.record).ledger.plan()
    assert child.close.owed


async def test_cancelled_saga_is_rebuilt_with_what_was_withdrawn(harness: WorkerHarness) -> None:
    """What no worker took cannot have happened."""
    trip = await harness.start_trip("hotel", "car-once-on-unpolled-queue")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)
    await trip.cancel()
    await harness.wait_for_ending(trip)

    record = await check_everything(harness, trip)

    assert rebuild_saga(record).ledger.entries["book-car"].outcome is Outcome.WITHDRAWN


COMPLETED, FAILED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED


@pytest.mark.parametrize(
    ("script", "ended", "way"),
    [
        ([], (COMPLETED, 2), RecoveryDirection.FORWARD),
        ([rejects()], (FAILED, 1), RecoveryDirection.BACK),
        ([fails()], (FAILED, 1), RecoveryDirection.FORWARD),
    ],
    ids=["done", "rejected", "unknown"],
)
async def test_way_is_decided_by_the_pivot(
    harness: WorkerHarness,
    script: list[Response],
    ended: "tuple[EventType.ValueType, int]",
    way: RecoveryDirection,
) -> None:
    """Where it was refused a saga can go back; where it is done or may have happened, it cannot."""
    harness.participants.when("pay", *script)
    trip = await harness.start_trip("hotel", "pay-with-long-backoff")
    await harness.wait_for_event(trip, ended[0], nth=ended[1])

    rebuilt = rebuild_saga(await HistoryFetcher(harness.client).record(trip.id))

    assert rebuilt.way is way


async def test_way_is_back_until_the_pivot_is_sent(harness: WorkerHarness) -> None:
    """Nothing else stands between a saga and its compensations."""
    trip = await harness.start_trip("hotel", "flight", "wait", "pay")
    await harness.wait_for_event(trip, COMPLETED, nth=2)

    assert rebuild_saga(await HistoryFetcher(harness.client).record(trip.id)).way is RecoveryDirection.BACK


FOUND: list[dict[str, object]] = [
    {"outcome": "done", "result": {"number": "7"}},
    {"outcome": "rejected", "code": "sold_out", "reason": "sorry"},
    {"outcome": "unknown"},
]


@pytest.mark.parametrize("found", FOUND, ids=str)
async def test_what_a_probe_has_found_counts(harness: WorkerHarness, found: dict[str, object]) -> None:
    """It is the participant's last word on an action of which nobody knew."""
    harness.participants.when("book-hotel", fails())
    harness.participants.when("find-hotel", returns(found))
    trip = await harness.start_trip("flight", "probed-hotel", "fail")
    await harness.wait_for_ending(trip)

    record = await check_everything(harness, trip)

    outcome = rebuild_saga(record).ledger.entries["probed-hotel"].outcome
    assert outcome.value == found["outcome"]


@pytest.mark.parametrize(
    ("found", "way"),
    list(
        zip(
            FOUND, [RecoveryDirection.FORWARD, RecoveryDirection.BACK, RecoveryDirection.FORWARD], strict=True
        )
    ),
    ids=str,
)
async def test_probe_decides_about_the_pivot(
    harness: WorkerHarness, found: dict[str, object], way: RecoveryDirection
) -> None:
    """Only where it was rejected for good can a saga go back."""
    harness.participants.when("pay", fails())
    harness.participants.when("find-payment", returns(found))
    trip = await harness.start_trip("hotel", "pay-probed", "wait")
    await harness.wait_for_event(trip, COMPLETED, nth=2)

    assert rebuild_saga(await HistoryFetcher(harness.client).record(trip.id)).way is way


@pytest.mark.parametrize("verb", [SKIP, COMPLETE])
async def test_what_a_person_has_settled_counts(harness: WorkerHarness, verb: str) -> None:
    """It is not owed any more, and not said to be done by the saga."""
    harness.participants.when("cancel-flight", rejects("too_late"))
    trip = await harness.start_trip("hotel", "flight", "fail")
    await harness.wait_for_status(trip, "stuck")
    request = {SKIP: SkipRequest, COMPLETE: CompleteRequest}[verb]
    await harness.send_update(
        trip, verb, request(step="book-flight", by="mia", because="a credit note was sent")
    )
    assert (await harness.wait_for_ending(trip)).saga == "settled"

    record = await check_everything(harness, trip)

    assert rebuild_saga(record).pending() == ()
    assert [v.entry.by for v in record.verbs] == ["mia"]


@pytest.mark.parametrize(
    ("verb", "way"), [(SKIP, RecoveryDirection.BACK), (COMPLETE, RecoveryDirection.FORWARD)]
)
async def test_what_a_person_says_of_the_pivot_decides_the_way(
    harness: WorkerHarness, verb: str, way: RecoveryDirection
) -> None:
    """Skipped, it has not happened; completed, it has."""
    harness.participants.when("pay", fails(final=True))
    trip = await harness.start_trip("hotel", "pay-once", "wait")
    await harness.wait_for_status(trip, "stuck")
    result = {"result": {"number": "7"}} if verb == COMPLETE else {}
    request = {SKIP: SkipRequest, COMPLETE: CompleteRequest}[verb]
    await harness.send_update(trip, verb, request(step="pay", by="mia", because="the bank says so", **result))

    rebuilt = rebuild_saga(await HistoryFetcher(harness.client).record(trip.id))

    assert rebuilt.way is way
    wanted = Outcome.REJECTED if way is RecoveryDirection.BACK else Outcome.DONE
    assert rebuilt.ledger.entries["pay"].outcome is wanted
