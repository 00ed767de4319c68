"""What operators see of a saga, made from recorded histories: no server, no worker, no code of the saga."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, PayloadCodec

from sagas import render_mermaid, render_preview, render_timeline
from sagas._core.activity_outcome import ActivityOutcome
from sagas._core.outcome import Outcome
from sagas._core.purpose import Purpose
from sagas._history.ledger_rebuild import outcome_of_attempts, rebuild_saga
from sagas._history.parser import read_history
from sagas._history.payload_decoder import PayloadDecoder
from sagas._history.preview import build_preview
from sagas._history.saga_record import ActivityRecord, SagaRecord
from sagas._history.timeline import Timeline
from sagas._history.timeline_builder import build_timeline
from sagas._wire.activity_header import HEADER, ActivityHeader
from sagas._wire.operator_requests import AuditEntry

FOLDER = Path(__file__).parents[2] / "histories" / "trips"
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


def told(name: str) -> str:
    """The text, with what is different in each recording taken out."""
    text = render_timeline(build_timeline(record_of(events_of(name))))
    for pattern, word in ((r"trip-\w{8}", "trip"), (r"[\d-]{10} [\d:]{8}", "then"), (r"\+?\d+ ms", "some")):
        text = re.sub(pattern, word, text)
    return re.sub(r" +", " ", text)


def test_stuck_saga_reads_well() -> None:
    """What is in the way stands under its step, and a child's steps under the child."""
    assert told("stuck") == (
        "trip TripSaga STUCK\n"
        "started then UTC, stuck since then UTC\n"
        "waits: for a person\n\n"
        " step outcome tried at took compensation\n"
        " book-hotel done 1 some some done\n"
        " book-flight done 1 some some failing\n"
        " cancel-flight (failing): too_late, sorry\n"
        " leg (child) done some some done\n"
        " book-car done 1 some some done\n"
        " look-around done 1 some some\n"
    )


def test_terminated_saga_says_what_it_owes() -> None:
    """And why it was terminated."""
    assert told("terminated") == (
        "trip TripSaga TERMINATED\n"
        "started then UTC, terminated after some: by mistake\n\n"
        " step outcome tried at took compensation\n"
        " book-hotel done 1 some some owed\n"
        " book-flight done 1 some some owed\n"
    )


def test_completed_saga_owes_nothing() -> None:
    """Nothing of it waits to be made up for."""
    assert "owed" not in told("completed")
    assert "pay (pivot) done" in told("completed")


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
        ("stuck", ["1 compensation has still to run.", "look-around (done)"]),
        ("settled", ["nothing is owed.", "book-flight (done): skipped by mia: a credit note was sent"]),
        ("completed", ["it has completed.", "pay (done)", "send-ticket (done)"]),
    ],
)
def test_preview_reads_well(name: str, lines: list[str]) -> None:
    """What would run, in its order, and what would stay, and why."""
    text = re.sub(r" +", " ", render_preview(build_preview(record_of(events_of(name)))))

    assert [line for line in lines if line not in text] == []


def test_preview_of_a_saga_past_its_pivot() -> None:
    """It has not ended, and nothing would be made up for all the same."""
    preview = build_preview(record_of(events_of("completed")[:-1]))

    assert preview.compensations == ()
    assert "only goes forward" in preview.sentence


@pytest.mark.parametrize("name", NAMES)
def test_history_that_ends_anywhere_is_read(name: str) -> None:
    """After any event there is a story, a preview and a ledger; what once was made up for stays so."""
    events = events_of(name)
    made_up = set[str]()
    for length in range(1, len(events) + 1):
        record = record_of(events[:length])
        story = build_timeline(record)
        assert render_timeline(story)
        assert render_mermaid(story)
        assert Timeline.model_validate_json(story.model_dump_json()) == story
        assert build_preview(record).id == record.id
        ledger = rebuild_saga(record).ledger
        assert ledger.compensated >= made_up
        made_up = ledger.compensated


def test_activities_of_other_making_are_passed_over() -> None:
    """A workflow may have its own; they are nobody's step."""
    events = events_of("terminated")
    for event in events:
        event.activity_task_scheduled_event_attributes.header.fields.pop(HEADER, None)

    assert record_of(events).lines == []


def test_action_without_an_end_may_have_happened() -> None:
    """It was scheduled, and the history says no more."""
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


def test_fault_of_the_code_is_told_until_a_task_is_completed() -> None:
    """With the last error, since the first; what is no fault of the code is not told as one."""
    events = [
        *events_of("terminated")[:4],
        task(5, "FAILED", "UNHANDLED_COMMAND", "something has come meanwhile"),
        task(6, "FAILED", "WORKFLOW_WORKER_UNHANDLED_FAILURE", "it is broken"),
        task(7, "FAILED", "NON_DETERMINISTIC_ERROR", "it is another one"),
        task(8, "COMPLETED"),
    ]
    faults = [build_timeline(record_of(events[:length])).fault for length in (5, 6, 7, 8)]

    assert [fault and (fault.reason, fault.since.second) for fault in faults] == [
        None,
        ("it is broken", 6),
        ("it is another one", 6),
        None,
    ]


def test_text_keeps_to_its_width() -> None:
    """However long a reason is."""
    story = build_timeline(record_of(events_of("stuck")))
    line = story.steps[1].model_copy(update={"reason": "because of this and that " * 40})
    long = story.model_copy(update={"steps": (line,), "reason": "why-that " * 200})

    assert 75 < max(map(len, render_timeline(long, width=80).splitlines())) <= 80
    assert 95 < max(map(len, render_timeline(long).splitlines())) <= 100
    assert render_timeline(long, width=80).count("why-that") == 200


def test_verbs_of_the_same_second_stand_in_their_order() -> None:
    """Who reads the trail at night must not take it for another one."""
    words = ["hold", "resume", "hold", "compensate"]
    at = "2026-01-01T00:00:00+00:00"
    verbs = tuple(AuditEntry(verb=f"saga-{word}", at=at, by="mia", because="x") for word in words)
    story = build_timeline(record_of(events_of("stuck"))).model_copy(update={"verbs": verbs})

    told = re.findall(r"00:00:00 (\w+) by mia", render_timeline(story))

    assert told == words


@pytest.mark.parametrize(("later", "told"), [(1, ["saga-skip", "reset"]), (-1, ["reset", "saga-skip"])])
def test_a_reset_stands_where_it_was_among_the_verbs_of_its_second(later: int, told: list[str]) -> None:
    """The trail tells of seconds; the history knows better."""
    events = events_of("settled")
    (accepted,) = (e for e in events if e.event_type == UPDATE_ACCEPTED)
    record = record_of(events)
    record.resets = [(accepted.event_time.ToDatetime(tzinfo=UTC) + later * timedelta(microseconds=1), "x")]

    assert [entry.verb for entry in build_timeline(record).verbs] == told


def test_chart_has_every_box_and_nothing_breaks_out_of_a_label() -> None:
    """What a participant has written is shown, and means nothing to Mermaid."""
    story = build_timeline(record_of(events_of("stuck")))
    hostile = 'x"]; click n1 "javascript:alert(1)" %% <script> end `#quot;'
    line = story.steps[0].model_copy(update={"reason": hostile})

    chart = render_mermaid(story.model_copy(update={"steps": (line, *story.steps[1:])}))

    lines = chart.splitlines()
    assert lines[0] == "flowchart TD"
    shape = r'(\(\["[^"<]*(<br>[^"<]*)*"\]\)|\[/?"[^"<]*(<br>[^"<]*)*"/?\]|\{\{"[^"<]*(<br>[^"<]*)*"\}\})'
    box = re.compile(rf"  n\d+{shape}(:::\w+)?|  subgraph n\d+\[\"[^\"<]*\"\]|  end")
    arrow = re.compile(r"  (n\d+) (-->|---|-\. made up for by \.->) (n\d+)")
    boxes = {
        m[1] for each in lines if (m := re.match(r"  (?:subgraph )?(n\d+)\W", each)) and box.fullmatch(each)
    }
    for each in lines[1:]:
        found = arrow.fullmatch(each)
        assert found or box.fullmatch(each) or each.startswith("classDef "), each
        assert found is None or {found[1], found[3]} <= boxes


class Backwards(PayloadCodec):
    """Encodes everything, and refuses what it has not encoded."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [Payload(metadata={"encoding": b"back"}, data=p.SerializeToString()[::-1]) for p in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        assert all(payload.metadata["encoding"] == b"back" for payload in payloads)
        return [Payload.FromString(payload.data[::-1]) for payload in payloads]


@pytest.mark.parametrize("name", NAMES)
async def test_encoded_history_is_decoded_before_it_is_read(name: str) -> None:
    """With the codec of the client; headers and search attributes are not encoded."""
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
    """As the SDK does: lists of payloads, memos, and summaries, of which those of timers are read."""
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


def effort(outcome: Outcome, purpose: Purpose = Purpose.PIVOT, value: object = None) -> ActivityRecord:
    return ActivityRecord(
        address="pay",
        activity="pay",
        mark=ActivityHeader(purpose=purpose),
        arguments=(),
        scheduled_at=datetime(2026, 1, 1, tzinfo=UTC),
        most=1,
        verdict=ActivityOutcome(outcome, value),
    )


def probe(answer: object) -> ActivityRecord:
    return effort(Outcome.DONE, Purpose.PROBE, answer)


@pytest.mark.parametrize(
    ("efforts", "outcome"),
    [
        ([effort(Outcome.WITHDRAWN)], Outcome.WITHDRAWN),
        ([effort(Outcome.UNKNOWN), effort(Outcome.WITHDRAWN)], Outcome.UNKNOWN),
        ([effort(Outcome.DONE), effort(Outcome.WITHDRAWN)], Outcome.UNKNOWN),
        ([effort(Outcome.DONE), effort(Outcome.STARTED)], Outcome.STARTED),
        ([effort(Outcome.UNKNOWN), effort(Outcome.REJECTED)], Outcome.REJECTED),
        ([effort(Outcome.UNKNOWN), probe({"outcome": "rejected"})], Outcome.REJECTED),
        ([effort(Outcome.UNKNOWN), probe({"outcome": "done"})], Outcome.DONE),
        ([effort(Outcome.UNKNOWN), probe({"outcome": "unknown"})], Outcome.UNKNOWN),
        ([effort(Outcome.UNKNOWN), probe("gibberish")], Outcome.UNKNOWN),
        ([effort(Outcome.UNKNOWN), effort(Outcome.STARTED, Purpose.PROBE)], Outcome.UNKNOWN),
        ([effort(Outcome.UNKNOWN), probe({"outcome": "unknown"}), effort(Outcome.STARTED)], Outcome.STARTED),
    ],
)
def test_last_word_on_an_action_counts(efforts: list[ActivityRecord], outcome: Outcome) -> None:
    """Except that what may have begun once can not be withdrawn any more."""
    assert outcome_of_attempts(efforts).outcome is outcome
