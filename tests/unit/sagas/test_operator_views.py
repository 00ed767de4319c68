"""Timelines, previews and charts of recorded histories, without a server and without workflow code."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, PayloadCodec

from sagas._core.activity_outcome import ActivityOutcome
from sagas._core.outcome import Outcome
from sagas._core.purpose import Purpose
from sagas._history.ledger_rebuild import outcome_of_attempts, rebuild_saga
from sagas._history.parser import read_history
from sagas._history.payload_decoder import PayloadDecoder
from sagas._history.preview import build_preview
from sagas._history.saga_record import ActivityRecord, SagaRecord, TimedReason
from sagas._history.timeline_builder import build_timeline
from sagas._wire.activity_header import HEADER, ActivityHeader
from sagas.operator import AuditEntry, Timeline, render_mermaid, render_preview, render_timeline
from tests.histories.folders import CURRENT

FOLDER = CURRENT / "operator_views"
UPDATE_ACCEPTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
NAMES = ("stuck", "settled", "terminated", "completed")


def events_of(name: str) -> list[HistoryEvent]:
    history = WorkflowHistory.from_json(name, (FOLDER / f"{name}.json").read_text())
    return list(history.events)


def record_of(events: Sequence[HistoryEvent]) -> SagaRecord:
    saga_id = events[0].workflow_execution_started_event_attributes.workflow_id
    record = read_history(saga_id, events, pydantic_data_converter)
    for child in record.children:
        child.record = read_history(child.id, events_of("settled-leg"), pydantic_data_converter)
    return record


def rendered(name: str) -> str:
    """The rendered timeline of a history, with ids, times and durations replaced."""
    text = render_timeline(build_timeline(record_of(events_of(name))))
    for pattern, word in ((r"trip-\w{8}", "trip"), (r"[\d-]{10} [\d:]{8}", "then"), (r"\+?\d+ ms", "some")):
        text = re.sub(pattern, word, text)
    return re.sub(r" +", " ", text)


def test_timeline_of_a_stuck_saga_is_rendered() -> None:
    """A failing compensation stands below its step, and the steps of a child below the child."""
    assert rendered("stuck") == (
        "trip TripSaga STUCK\n"
        "started then UTC, stuck since then UTC\n"
        "waits: for an operator\n\n"
        " step outcome attempts start duration compensation\n"
        " book-hotel done 1 some some done\n"
        " book-flight done 1 some some failing\n"
        " cancel-flight (failing): too_late, sorry\n"
        " leg (child) done some some done\n"
        " book-car done 1 some some done\n"
        " look-around done 1 some some\n\n"
        "Remaining effects:\n"
        " look-around (done)\n"
    )


def test_timeline_of_a_terminated_saga_has_its_pending_compensations() -> None:
    """The reason of the termination is part of the timeline."""
    assert rendered("terminated") == (
        "trip TripSaga TERMINATED\n"
        "started then UTC, terminated after some: by mistake\n\n"
        " step outcome attempts start duration compensation\n"
        " book-hotel done 1 some some pending\n"
        " book-flight done 1 some some pending\n"
    )


def test_timeline_of_a_completed_saga_has_no_pending_compensation() -> None:
    """No compensation of the saga is pending after the pivot."""
    assert "pending" not in rendered("completed")
    assert "pay (pivot) done" in rendered("completed")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "terminated",
            [
                "2 compensations would run, in this order.",
                "1. book-flight cancel-flight",
                "2. book-hotel cancel-hotel",
            ],
        ),
        ("stuck", ["1 compensation still to run.", "look-around (done)"]),
        (
            "settled",
            ["no compensation is pending.", "book-flight (done): skipped by mia: a credit note was sent"],
        ),
        ("completed", ["the saga has completed.", "pay (done)", "send-ticket (done)"]),
    ],
)
def test_preview_is_rendered(name: str, lines: list[str]) -> None:
    """The preview has compensations in order, remaining effects, and the reasons of skipped ones."""
    text = re.sub(r" +", " ", render_preview(build_preview(record_of(events_of(name)))))

    assert [line for line in lines if line not in text] == []


def test_preview_of_an_open_saga_past_its_pivot_is_empty() -> None:
    """Nothing would be compensated, although the saga has not completed."""
    preview = build_preview(record_of(events_of("completed")[:-1]))

    assert preview.compensations == ()
    assert preview.sentence == "nothing would be compensated: the pivot is done or in doubt"


@pytest.mark.parametrize("name", NAMES)
def test_every_prefix_of_a_history_is_read(name: str) -> None:
    """Timeline, chart, preview and ledger exist after each event, and compensated steps stay so."""
    events = events_of(name)
    compensated = set[str]()
    for length in range(1, len(events) + 1):
        record = record_of(events[:length])
        timeline = build_timeline(record)
        assert render_timeline(timeline)
        assert render_mermaid(timeline)
        assert Timeline.model_validate_json(timeline.model_dump_json()) == timeline
        assert build_preview(record).id == record.id
        ledger = rebuild_saga(record).ledger
        assert ledger.compensated >= compensated
        compensated = ledger.compensated


def test_activities_without_a_header_belong_to_no_saga() -> None:
    """A workflow may run activities outside of its saga."""
    events = events_of("terminated")
    for event in events:
        event.activity_task_scheduled_event_attributes.header.fields.pop(HEADER, None)

    assert record_of(events).scheduled == []


def test_action_without_an_end_may_have_happened() -> None:
    """The compensation of a scheduled action without a result is pending."""
    events = events_of("terminated")
    kinds = [event.event_type for event in events]
    record = record_of(events[: kinds.index(EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED)])

    ledger = rebuild_saga(record).ledger

    assert ledger.entries["book-hotel"].outcome is Outcome.STARTED
    assert [c.arguments[1:] for c in ledger.pending()] == [(None,)]


def task(event_id: int, kind: str, cause: str = "", message: str = "") -> HistoryEvent:
    event = HistoryEvent(event_id=event_id, event_type=EventType.Value(f"EVENT_TYPE_WORKFLOW_TASK_{kind}"))
    event.event_time.FromDatetime(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=event_id))
    if cause:
        failed = event.workflow_task_failed_event_attributes
        failed.cause = WorkflowTaskFailedCause.Value(f"WORKFLOW_TASK_FAILED_CAUSE_{cause}")
        failed.failure.message = message
    return event


def test_failure_of_the_code_is_reported_until_a_task_completes() -> None:
    """The timeline has the latest error and the time of the first; other causes do not count."""
    events = [
        *events_of("terminated")[:4],
        task(5, "FAILED", "UNHANDLED_COMMAND", "an event arrived meanwhile"),
        task(6, "FAILED", "WORKFLOW_WORKER_UNHANDLED_FAILURE", "first error"),
        task(7, "FAILED", "NON_DETERMINISTIC_ERROR", "second error"),
        task(8, "COMPLETED"),
    ]
    failures = [build_timeline(record_of(events[:length])).task_failure for length in (5, 6, 7, 8)]

    assert [failure and (failure.reason, failure.since.second) for failure in failures] == [
        None,
        ("first error", 6),
        ("non deterministic error: second error", 6),
        None,
    ]


def test_long_text_is_wrapped() -> None:
    """Lines have at most the given width, 80 columns by default, and no word is lost."""
    timeline = build_timeline(record_of(events_of("stuck")))
    line = timeline.steps[1].model_copy(update={"reason": "because of this and that " * 40})
    long = timeline.model_copy(update={"steps": (line,), "reason": "why-that " * 200})

    assert 95 < max(map(len, render_timeline(long, width=100).splitlines())) <= 100
    assert 75 < max(map(len, render_timeline(long).splitlines())) <= 80
    assert render_timeline(long).count("why-that") == 200


@pytest.mark.parametrize(
    "address",
    ["reserve-two-seats", "reserve-a-seat-in-the-first-row-of-the-cinema#2"],
    ids=["long", "too long"],
)
def test_wide_table_is_wrapped_between_words(address: str) -> None:
    """The table keeps 80 columns, and every word, time and duration stays whole."""
    timeline = build_timeline(record_of(events_of("stuck")))
    line = timeline.steps[1].model_copy(
        update={
            "address": address,
            "purpose": "best-effort",
            "outcome": Outcome.REJECTED,
            "reason": "",
        }
    )

    text = render_timeline(timeline.model_copy(update={"steps": (line,)}))

    assert max(map(len, text.splitlines())) <= 80
    assert {address, "(best-effort)", "REJECTED", "failing"} <= set(text.split())
    assert re.search(r"\+\d+ ms  +\d+ ms", text)


def test_verbs_of_the_same_second_keep_their_order() -> None:
    """The audit trail has whole seconds, and is sorted without changing the order of equal times."""
    order = ["hold", "resume", "hold", "compensate"]
    at = "2026-01-01T00:00:00+00:00"
    verbs = tuple(AuditEntry(verb=f"saga-{verb}", at=at, by="mia", because="x") for verb in order)
    timeline = build_timeline(record_of(events_of("stuck"))).model_copy(update={"audit_trail": verbs})

    assert re.findall(r"00:00:00 (\w+) by mia", render_timeline(timeline)) == order


@pytest.mark.parametrize(("later", "order"), [(1, ["saga-skip", "reset"]), (-1, ["reset", "saga-skip"])])
def test_reset_and_verb_of_the_same_second_keep_their_order(later: int, order: list[str]) -> None:
    """The microseconds of the events decide."""
    events = events_of("settled")
    (accepted,) = (e for e in events if e.event_type == UPDATE_ACCEPTED)
    record = record_of(events)
    at = accepted.event_time.ToDatetime(tzinfo=UTC) + later * timedelta(microseconds=1)
    record.resets = [TimedReason(at, "x")]

    assert [entry.verb for entry in build_timeline(record).audit_trail] == order


def test_chart_escapes_labels_and_connects_known_nodes() -> None:
    """Text of a participant has no meaning for Mermaid or HTML."""
    timeline = build_timeline(record_of(events_of("stuck")))
    hostile = 'x"]; click n1 "javascript:alert(1)" %% <script> end `#quot;'
    line = timeline.steps[0].model_copy(update={"reason": hostile})

    chart = render_mermaid(timeline.model_copy(update={"steps": (line, *timeline.steps[1:])}))

    lines = chart.splitlines()
    assert lines[0] == "flowchart TD"
    shape = r'(\(\["[^"<]*(<br>[^"<]*)*"\]\)|\[/?"[^"<]*(<br>[^"<]*)*"/?\]|\{\{"[^"<]*(<br>[^"<]*)*"\}\})'
    box = re.compile(rf"  n\d+{shape}(:::\w+)?|  subgraph n\d+\[\"[^\"<]*\"\]|  end")
    arrow = re.compile(r"  (n\d+) (-->|---|-\. compensated by \.->) (n\d+)")
    boxes = {
        m[1] for each in lines if (m := re.match(r"  (?:subgraph )?(n\d+)\W", each)) and box.fullmatch(each)
    }
    for each in lines[1:]:
        found = arrow.fullmatch(each)
        assert found or box.fullmatch(each) or each.startswith("classDef "), each
        assert found is None or {found[1], found[3]} <= boxes


class Backwards(PayloadCodec):
    """Encodes all payloads, and refuses payloads that are not encoded."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": b"back"}, data=p.SerializeToString()[::-1]) for p in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        assert all(payload.metadata["encoding"] == b"back" for payload in payloads)
        return [Payload.FromString(payload.data[::-1]) for payload in payloads]


@pytest.mark.parametrize("name", NAMES)
async def test_encoded_history_is_decoded(name: str) -> None:
    """The decoder uses the payload codec; headers and search attributes are not encoded."""
    codec = Backwards()
    converter = DataConverter(
        payload_converter_class=pydantic_data_converter.payload_converter_class, payload_codec=codec
    )
    encoded = events_of(name)
    for event in encoded:
        await _encode(event, codec)

    decoder = PayloadDecoder(name, "default", converter)
    for event in encoded:
        await decoder.decode(event)

    assert encoded == events_of(name)


PLACES = {
    "workflow_execution_started_event_attributes": ["input", "memo"],
    "activity_task_scheduled_event_attributes": ["input"],
    "activity_task_completed_event_attributes": ["result"],
    "activity_task_failed_event_attributes": ["failure.application_failure_info.details"],
    "workflow_execution_failed_event_attributes": ["failure.application_failure_info.details"],
    "start_child_workflow_execution_initiated_event_attributes": ["input", "memo"],
    "child_workflow_execution_completed_event_attributes": ["result"],
    "workflow_execution_completed_event_attributes": ["result"],
    "workflow_execution_update_accepted_event_attributes": ["accepted_request.input.args"],
    "workflow_execution_update_completed_event_attributes": ["outcome.success"],
}


async def _encode(event: HistoryEvent, codec: PayloadCodec) -> None:
    """Encodes the payloads of an event as the SDK does: lists of payloads, memos, and summaries of timers."""
    kind = event.WhichOneof("attributes") or ""
    for place in PLACES.get(kind, []):
        value = attrgetter(place)(getattr(event, kind))
        if place == "memo":
            for payload in value.fields.values():
                payload.CopyFrom((await codec.encode([payload]))[0])
        elif value.payloads:
            await codec.encode_wrapper(value)
    if event.HasField("timer_started_event_attributes") and event.user_metadata.HasField("summary"):
        event.user_metadata.summary.CopyFrom((await codec.encode([event.user_metadata.summary]))[0])


def attempt(outcome: Outcome, purpose: Purpose = Purpose.PIVOT, value: object = None) -> ActivityRecord:
    return ActivityRecord(
        address="pay",
        activity="pay",
        header=ActivityHeader(purpose=purpose),
        arguments=(),
        scheduled_at=datetime(2026, 1, 1, tzinfo=UTC),
        maximum_attempts=1,
        result=ActivityOutcome(outcome, value),
    )


def probe(answer: object) -> ActivityRecord:
    return attempt(Outcome.DONE, Purpose.PROBE, answer)


@pytest.mark.parametrize(
    ("attempts", "outcome"),
    [
        ([attempt(Outcome.WITHDRAWN)], Outcome.WITHDRAWN),
        ([attempt(Outcome.UNKNOWN), attempt(Outcome.WITHDRAWN)], Outcome.UNKNOWN),
        ([attempt(Outcome.DONE), attempt(Outcome.WITHDRAWN)], Outcome.UNKNOWN),
        ([attempt(Outcome.DONE), attempt(Outcome.STARTED)], Outcome.STARTED),
        ([attempt(Outcome.UNKNOWN), attempt(Outcome.REJECTED)], Outcome.REJECTED),
        ([attempt(Outcome.UNKNOWN), probe({"outcome": "rejected"})], Outcome.REJECTED),
        ([attempt(Outcome.UNKNOWN), probe({"outcome": "done"})], Outcome.DONE),
        ([attempt(Outcome.UNKNOWN), probe({"outcome": "unknown"})], Outcome.UNKNOWN),
        ([attempt(Outcome.UNKNOWN), probe("gibberish")], Outcome.UNKNOWN),
        ([attempt(Outcome.UNKNOWN), attempt(Outcome.STARTED, Purpose.PROBE)], Outcome.UNKNOWN),
        (
            [attempt(Outcome.UNKNOWN), probe({"outcome": "unknown"}), attempt(Outcome.STARTED)],
            Outcome.STARTED,
        ),
    ],
)
def test_last_answer_about_an_action_counts(attempts: list[ActivityRecord], outcome: Outcome) -> None:
    """An action that may have started once is unknown, and not withdrawn."""
    assert outcome_of_attempts(attempts).outcome is outcome
