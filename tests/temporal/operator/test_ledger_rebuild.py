"""The ledger rebuilt from a history equals the ledger of the saga."""

import json
import re
from collections.abc import Sequence

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from sagas import CompensationScope
from sagas._core.compensation import flatten
from sagas._core.ids import COMPENSATE, PROBE
from sagas._core.ledger import Ledger
from sagas._core.outcome import Outcome
from sagas._core.purpose import Purpose
from sagas._history.fetcher import HistoryFetcher
from sagas._history.ledger_rebuild import rebuild_saga
from sagas._history.parser import read_history
from sagas._history.saga_record import SagaRecord
from sagas._wire.activity_header import HEADER, ActivityHeader, read_header
from sagas.operator import COMPLETE, SKIP, CompleteRequest, RecoveryDirection, SkipRequest

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


async def ledger_in_details(handle: Handle) -> list[tuple[str, Outcome, bool]]:
    """The ledger in the current details of the saga: address, outcome, and whether compensated."""
    metadata = await handle.query("__temporal_workflow_metadata")
    rows = re.findall(r"^\| ([a-z][^|]*) \| ([^|]*) \| ([^|]*)\|$", metadata.current_details, re.MULTILINE)
    return [
        (address, next(o for word, o in WORDS.items() if word in outcome), "✓" in compensated)
        for address, outcome, compensated in rows
        if address != "step"
    ]


def entries_of(ledger: Ledger) -> list[tuple[str, Outcome, bool]]:
    """The entries of a ledger: address, outcome, and whether compensated."""
    return [
        (
            e.address,
            e.outcome,
            bool(e.compensations) and all(c.address in ledger.compensated for c in flatten(e.compensations)),
        )
        for e in ledger.entries.values()
    ]


def check_against_events(events: Sequence[HistoryEvent], record: SagaRecord) -> None:
    """Checks a rebuilt ledger against the events, without the code under test."""
    rebuilt = rebuild_saga(record)
    pending = {compensation.address for compensation in rebuilt.pending()}
    headers: dict[str, ActivityHeader] = {}
    ids: dict[int, str] = {}
    done, compensated, rejected = set[str](), set[str](), set[str]()
    has_pivot = False
    for event in events:
        scheduled = event.activity_task_scheduled_event_attributes
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            ids[event.event_id] = scheduled.activity_id
            headers[scheduled.activity_id] = read_header(scheduled.header.fields[HEADER])
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            completed = event.activity_task_completed_event_attributes
            name = ids[completed.scheduled_event_id]
            if b'"rejected"' in completed.result.payloads[0].data:
                rejected.add(name.removeprefix(PROBE))
            (compensated if name.startswith(COMPENSATE) else done).add(name.removeprefix(COMPENSATE))
            has_pivot = has_pivot or headers[name].purpose is Purpose.PIVOT
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            failed = event.activity_task_failed_event_attributes
            if failed.failure.application_failure_info.type == "Rejected":
                rejected.add(ids[failed.scheduled_event_id])
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            accepted = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
            ids[event.event_id] = json.loads(accepted.args.payloads[0].data)["step"]
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
            compensated.add(ids[event.workflow_execution_update_completed_event_attributes.accepted_event_id])
    compensatable = {name for name, header in headers.items() if header.compensation is not None}
    own = {address for address in pending if ":" not in address}
    if has_pivot:
        assert not pending
        return
    is_attempted = any(header.scope is CompensationScope.ATTEMPTED for header in headers.values())
    expected = compensatable - compensated - (set() if is_attempted else rejected)
    withdrawn = {e.address for e in rebuilt.ledger.entries.values() if e.outcome is Outcome.WITHDRAWN}
    assert own == expected - withdrawn
    assert (done & compensatable) - compensated <= own


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
    """Checks the final ledger against the saga's own, and the ledger after each event for consistency."""
    record = await HistoryFetcher(harness.client).fetch_family(handle.id)
    # The handle stands for the first run of a saga that has continued as new.
    handle = harness.client.get_workflow_handle(handle.id)
    assert entries_of(rebuild_saga(record).ledger) == await ledger_in_details(handle)
    await check_prefixes(harness.client, handle.id)
    for child in record.children:
        if child.has_started:
            await check_everything(harness, harness.client.get_workflow_handle(child.id))
    return record


async def check_prefixes(client: Client, saga_id: str) -> None:
    events = [event async for event in client.get_workflow_handle(saga_id).fetch_history_events()]
    for length in range(1, len(events) + 1):
        record = read_history(saga_id, events[:length], client.data_converter)
        if record.continued_state is None and not any(child.is_pivot for child in record.children):
            check_against_events(events[:length], record)


@pytest.mark.parametrize("do", PLANS.values(), ids=PLANS.keys())
async def test_rebuilt_ledger_equals_the_sagas_own(
    harness: WorkerHarness, do: tuple[str | TripPlan, ...]
) -> None:
    """Both have the same entries at the end, and the rebuilt ledger is consistent after each event."""
    trip = await harness.start_trip(*do)
    await harness.wait_for_ending(trip)

    await check_everything(harness, trip)


@pytest.mark.parametrize("scope", list(CompensationScope))
@pytest.mark.parametrize("operation", ["book-flight", "book-car", "pay"])
@pytest.mark.parametrize("answer", [rejects(), fails()], ids=["refused", "unknown"])
async def test_rebuilt_ledger_has_rejected_and_unknown_outcomes(
    harness: WorkerHarness, scope: CompensationScope, operation: str, answer: Response
) -> None:
    """Outcomes follow the same rules as in the workflow."""
    harness.participants.when(operation, answer)

    trip = await harness.start_trip("hotel", TripPlan(do=("flight",)), "car", "pay", "ticket", scope=scope)
    await harness.wait_for_ending(trip)

    await check_everything(harness, trip)


async def test_reported_compensations_of_a_child_equal_its_rebuilt_ledger(harness: WorkerHarness) -> None:
    """A completed child reports exactly the plan that is rebuilt from its history."""
    plan = TripPlan(do=("car", TripPlan(do=("hotel", "flight"), name="night"), "look", "hotel"))
    trip = await harness.start_trip("flight", plan, "fail")
    await harness.wait_for_ending(trip)

    record = await HistoryFetcher(harness.client).fetch_family(trip.id)
    child = record.children[0]

    assert child.closure is not None
    assert child.record is not None
    assert child.closure.pending == rebuild_saga(child.record).ledger.plan()
    assert child.closure.pending


async def test_activity_without_a_worker_is_withdrawn_by_a_cancel(harness: WorkerHarness) -> None:
    """An action that no worker received cannot have happened."""
    trip = await harness.start_trip("hotel", "car-once-on-unpolled-queue")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, nth=2)
    await trip.cancel()
    await harness.wait_for_ending(trip)

    record = await check_everything(harness, trip)

    assert rebuild_saga(record).ledger.entries["book-car"].outcome is Outcome.WITHDRAWN


COMPLETED, FAILED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED


@pytest.mark.parametrize(
    ("script", "ended", "direction"),
    [
        ([], (COMPLETED, 2), RecoveryDirection.FORWARD),
        ([rejects()], (FAILED, 1), RecoveryDirection.BACKWARD),
        ([fails()], (FAILED, 1), RecoveryDirection.FORWARD),
    ],
    ids=["done", "rejected", "unknown"],
)
async def test_pivot_decides_the_recovery_direction(
    harness: WorkerHarness,
    script: list[Response],
    ended: "tuple[EventType.ValueType, int]",
    direction: RecoveryDirection,
) -> None:
    """After a rejected pivot a saga recovers backward; after a pivot that is done or in doubt, forward."""
    harness.participants.when("pay", *script)
    trip = await harness.start_trip("hotel", "pay-with-long-backoff")
    await harness.wait_for_event(trip, ended[0], nth=ended[1])

    rebuilt = rebuild_saga(await HistoryFetcher(harness.client).fetch_saga(trip.id))

    assert rebuilt.direction is direction


async def test_recovery_is_backward_before_the_pivot(harness: WorkerHarness) -> None:
    """A saga can compensate until the pivot is scheduled."""
    trip = await harness.start_trip("hotel", "flight", "wait", "pay")
    await harness.wait_for_event(trip, COMPLETED, nth=2)

    assert (
        rebuild_saga(await HistoryFetcher(harness.client).fetch_saga(trip.id)).direction
        is RecoveryDirection.BACKWARD
    )


FOUND: list[dict[str, object]] = [
    {"outcome": "done", "result": {"number": "7"}},
    {"outcome": "rejected", "code": "sold_out", "reason": "sorry"},
    {"outcome": "unknown"},
]


@pytest.mark.parametrize("found", FOUND, ids=str)
async def test_result_of_a_probe_decides_the_outcome(
    harness: WorkerHarness, found: dict[str, object]
) -> None:
    """The participant's answer resolves an unknown outcome."""
    harness.participants.when("book-hotel", fails())
    harness.participants.when("find-hotel", returns(found))
    trip = await harness.start_trip("flight", "probed-hotel", "fail")
    await harness.wait_for_ending(trip)

    record = await check_everything(harness, trip)

    outcome = rebuild_saga(record).ledger.entries["probed-hotel"].outcome
    assert outcome.value == found["outcome"]


@pytest.mark.parametrize(
    ("found", "direction"),
    list(
        zip(
            FOUND,
            [RecoveryDirection.FORWARD, RecoveryDirection.BACKWARD, RecoveryDirection.FORWARD],
            strict=True,
        )
    ),
    ids=str,
)
async def test_result_of_a_probe_decides_the_recovery_direction(
    harness: WorkerHarness, found: dict[str, object], direction: RecoveryDirection
) -> None:
    """Only a rejected pivot allows compensation."""
    harness.participants.when("pay", fails())
    harness.participants.when("find-payment", returns(found))
    trip = await harness.start_trip("hotel", "pay-probed", "wait")
    await harness.wait_for_event(trip, COMPLETED, nth=2)

    assert rebuild_saga(await HistoryFetcher(harness.client).fetch_saga(trip.id)).direction is direction


@pytest.mark.parametrize("verb", [SKIP, COMPLETE])
async def test_manually_resolved_compensation_is_not_pending(harness: WorkerHarness, verb: str) -> None:
    """Both verbs end the pending compensation, and the saga as settled."""
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
    ("verb", "direction"), [(SKIP, RecoveryDirection.BACKWARD), (COMPLETE, RecoveryDirection.FORWARD)]
)
async def test_manually_resolved_pivot_decides_the_recovery_direction(
    harness: WorkerHarness, verb: str, direction: RecoveryDirection
) -> None:
    """A skipped pivot has not happened, and a completed pivot has happened."""
    harness.participants.when("pay", fails(final=True))
    trip = await harness.start_trip("hotel", "pay-once", "wait")
    await harness.wait_for_status(trip, "stuck")
    result = {"result": {"number": "7"}} if verb == COMPLETE else {}
    request = {SKIP: SkipRequest, COMPLETE: CompleteRequest}[verb]
    await harness.send_update(
        trip, verb, request(step="pay", by="mia", because="the bank confirms", **result)
    )

    rebuilt = rebuild_saga(await HistoryFetcher(harness.client).fetch_saga(trip.id))

    assert rebuilt.direction is direction
    outcome = Outcome.REJECTED if direction is RecoveryDirection.BACKWARD else Outcome.DONE
    assert rebuilt.ledger.entries["pay"].outcome is outcome
