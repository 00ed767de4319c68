"""A sample of each value that crosses the border of a process: messages and stored data.

Renames of modules, classes and fields change this file alone. The names of the samples and the golden files
stay unchanged. Constants are compared with the golden file; written samples are also read again.
"""

import asyncio
import dataclasses
import json
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from copy import copy
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Generic, TypeVar, cast
from unittest.mock import patch

import httpx
from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry import trace
from pydantic import BaseModel, TypeAdapter
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.client import WorkflowHistory
from temporalio.common import MetricMeter, Priority, RawValue, RetryPolicy
from temporalio.converter import DataConverter, DefaultFailureConverter
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    TerminatedError,
    WorkflowAlreadyStartedError,
)
from temporalio.worker import Replayer, WorkflowRunner
from temporalio.workflow import _Definition as WorkflowDefinition

import activities._http_response as http_answers
import activities._http_tracing as http_tracing
import choreography
import choreography._tracing as event_tracing
import sagas
import sagas._errors as saga_errors
import workers._configuration.settings as worker_settings
from activities import HttpParticipant
from activities._http_response import HttpResponse, read_result
from choreography import (
    CommandType,
    Event,
    EventType,
    Participant,
    RabbitOptions,
    Reactions,
    Topology,
    build_schema,
)
from choreography import _errors as event_errors
from choreography._declarations.event import event_id
from choreography._messaging.cloudevents import (
    CONTENT_TYPE,
    LARGEST_BODY,
    VERSION,
    BrokerMessage,
    decode,
    encode,
)
from choreography._messaging.delivery import describe_exhaustion
from choreography._messaging.rabbitmq import bus as rabbit_bus
from choreography._messaging.rabbitmq.broker_topology import DEAD, build_broker_topology
from choreography._transaction import fence, fence_decision, inbox, outbox
from choreography._transaction.command_processor import CommandProcessor
from choreography._transaction.database import open_connection
from choreography._transaction.event_processor import EventProcessor
from choreography._transaction.failpoint import Failpoint
from examples.order import event_types as order_events
from examples.order import worker as example_worker
from examples.order.deployment import REACTIONS, TOPOLOGY
from examples.order.messages import Address, Order, OrderLine
from examples.order.saga import OrderSaga
from examples.order.services import inventory, orders, shipping
from examples.payment import event_types as payment_events
from examples.payment.messages import Customer, PaymentMethod
from examples.payment.saga import PaymentSaga
from examples.payment.services import notification
from examples.payment.services import payment as service
from sagas import (
    ActivityOptions,
    CompensationOrder,
    CompensationRequestedError,
    CompensationScope,
    DeadlineExceededError,
    FailureKind,
    OnFailure,
    OnStuck,
    Operation,
    ProbeResult,
    RejectedError,
    UnknownOutcomeError,
    action,
    idempotency_key,
)
from sagas._core import ids as _keys
from sagas._core.activity_policy import ActivityPolicy
from sagas._core.compensation import (
    CompensationRules,
    CompensationSpec,
    ConfirmationSpec,
    ParallelCompensations,
    PendingCompensation,
    PendingConfirmation,
    SectionSpec,
    StepAfterCompensation,
)
from sagas._core.effect_class import EffectClass
from sagas._core.ledger import Ledger
from sagas._core.lifecycle import Phase
from sagas._core.outcome import Outcome
from sagas._core.purpose import Purpose
from sagas._execution import activity_call as attempt
from sagas._history.parser import VERBS, read_history
from sagas._history.preview import build_preview
from sagas._history.saga_record import SagaRecord
from sagas._history.timeline import _Model
from sagas._history.timeline_builder import build_timeline
from sagas._messages import external_events
from sagas._messages.approvals import NOT_APPROVED, ApprovalDecision, Approvals
from sagas._messages.operator_updates import SKIPPED
from sagas._plugin.handler_errors import update_error
from sagas._plugin.interceptor import _ActivityInbound
from sagas._plugin.plugin import SagaPlugin
from sagas._run.bugs import PATCH as BUGS_PATCH
from sagas._run.concurrency_limit import ConcurrencyLimit
from sagas._run.context import RunContext
from sagas._run.status_publisher import StatusPublisher
from sagas._run.task_size_limit import LARGEST as LARGEST_LOAD
from sagas._run.task_size_limit import TaskSizeLimit
from sagas._temporal import metrics as _metrics
from sagas._temporal.payload_converter import SagaPayloadConverter
from sagas._wire import failures as _failures
from sagas._wire import operator_requests as _verbs
from sagas._wire import rescue
from sagas._wire.activity_header import (
    HEADER,
    ActivityHeader,
    action_header,
    event_groups_of,
    plain_header,
    read_header,
)
from sagas._wire.child_saga import (
    CHILD_MEMO,
    FOREIGN_WORK_MEMO,
    INDEPENDENT_MEMO,
    ChildMemo,
    ChildResult,
    IndependentMemo,
    child_result_type,
)
from sagas._wire.chunked_text import split
from sagas._wire.continued_state import (
    CONTINUED_STATE_MEMO,
    STATE,
    ContinuedState,
    EntrySnapshot,
    LedgerSnapshot,
)
from sagas._wire.timer_summaries import DEADLINE, NEXT_ATTEMPT
from sagas._workflow import child_saga as children
from sagas._workflow import rescue_workflow
from sagas._workflow.compensation_execution import CompensationExecution
from sagas.operator import (
    METRIC_BUCKETS,
    SAGA_STATUS,
    ApproveRequest,
    AuditEntry,
    CancelRequest,
    CloseStatus,
    CompensationLine,
    CompensationState,
    CompleteRequest,
    ConfirmationLine,
    ForeignKind,
    ForeignLine,
    OperatorRequest,
    PendingWait,
    PlannedCompensation,
    PlannedConfirmation,
    Preview,
    RecoveryDirection,
    RemainingEffect,
    Rescue,
    SagaSummary,
    SkipRequest,
    Status,
    StepLine,
    TaskFailure,
    Timeline,
)
from sagas.operator import _rescue as rescuing
from sagas.operator import _rescue_request as asking
from sagas.operator import _rescue_reset as reset
from sagas.operator import _saga_list as searching
from sagas.testing import EffectState
from tests.temporal.fixtures.section_saga import SectionSaga
from tests.temporal.fixtures.trip_saga import TripSaga
from tests.temporal.independent.parcel_saga import ParcelSaga
from workers import Settings, read_recordings
from workers._cli.operator_commands import CommandResult, ListedStatus, _json, _json_list
from workers._histories.recording import LEFT_OUT, MANIFEST, Manifest, RecordedRun
from workers._search_attributes import SEARCH_ATTRIBUTES
from workers._servers.data_folder_lock import RunningServer, _address_file, _lock_file
from workers._servers.rabbitmq_files import NODE, USER
from workers._servers.rabbitmq_node import KIND as RABBITMQ
from workers._servers.rabbitmq_node import RunningRabbitMQNode
from workers._servers.temporal_server import KIND as TEMPORAL
from workers._servers.temporal_server import RunningTemporalServer

T = TypeVar("T")
WHEN = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
LATER = WHEN + timedelta(minutes=7)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CONVERTER = SagaPayloadConverter()
STORED = Path(__file__).parents[1] / "histories"


@dataclasses.dataclass(frozen=True)
class Sample(Generic[T]):
    """A value, how the value is written, and how the text is read again.

    Args:
        value: The value to write.
        write: Gives the text to compare with the golden text.
        read: Reads the text.
        same: The common part of two equal values, where `==` compares identity.
    """

    value: T
    write: Callable[[T], str]
    read: Callable[[str], T]
    same: Callable[[T], object] = lambda value: value


def as_text(value: object) -> str:
    """JSON in a canonical form, for values without a text form."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


# --- payloads, headers, failures -----------------------------------------------------------------------


def payload_text(payload: Payload) -> str:
    """A payload with metadata; the data is the transmitted text, to the byte."""
    metadata = {name: text.decode() for name, text in payload.metadata.items()}
    return as_text({"metadata": metadata, "data": payload.data.decode()})


def text_payload(text: str) -> Payload:
    """The payload of a text from `payload_text`."""
    found = json.loads(text)
    metadata = {name: value.encode() for name, value in found["metadata"].items()}
    return Payload(metadata=metadata, data=found["data"].encode())


def as_payload(value: T, kind: object = None) -> Sample[T]:
    """A value that the converter of `SagaPlugin` writes and reads."""
    hint = cast("type", kind or type(value))
    return Sample(
        value,
        lambda each: payload_text(CONVERTER.to_payloads([each])[0]),
        lambda text: cast("T", CONVERTER.from_payloads([text_payload(text)], [hint])[0]),
    )


def as_header(payload: Payload) -> Sample[ActivityHeader]:
    """An activity header; the saga writes the header as `payload`."""
    header = read_header(payload)
    return Sample(header, lambda each: payload_text(_header_payload(payload, each)), _read_header_text)


def _header_payload(first: Payload, header: ActivityHeader) -> Payload:
    data = header.model_dump_json(exclude_defaults=True).encode()
    return Payload(metadata=dict(first.metadata), data=data) if header != read_header(first) else first


def _read_header_text(text: str) -> ActivityHeader:
    return read_header(text_payload(text))


def as_failure(error: ApplicationError) -> Sample[ApplicationError]:
    """An application error, as Temporal's SDK writes it into a failure."""
    return Sample(error, _failure_text, _read_failure, _content_of)


def _failure_text(error: ApplicationError) -> str:
    failure = Failure()
    DefaultFailureConverter().to_failure(_without_failure(error), CONVERTER, failure)
    found = MessageToDict(failure)
    details = failure.application_failure_info.details.payloads
    found["applicationFailureInfo"]["details"] = [payload_text(each) for each in details]
    found.pop("stackTrace", None)
    found.pop("cause", None)
    return as_text(found)


def _read_failure(text: str) -> ApplicationError:
    found = json.loads(text)
    details = found["applicationFailureInfo"].pop("details")
    failure = ParseDict(found, Failure())
    failure.application_failure_info.details.payloads.extend(text_payload(each) for each in details)
    error = DefaultFailureConverter().from_failure(failure, CONVERTER)
    assert isinstance(error, ApplicationError)
    return error


def _without_failure(error: ApplicationError) -> ApplicationError:
    """Without the failure from which the error was read: the SDK would write the failure unchanged."""
    return ApplicationError(
        error.message,
        *error.details,
        type=error.type,
        non_retryable=error.non_retryable,
        category=error.category,
    )


def _content_of(error: ApplicationError) -> object:
    return error.message, error.type, tuple(error.details), error.non_retryable, error.category


# --- orchestration: models -----------------------------------------------------------------------------

PATIENT = ActivityPolicy(
    start_to_close_timeout=timedelta(milliseconds=1_500),
    maximum_attempts=7,
    initial_interval=timedelta(milliseconds=250),
    backoff_coefficient=1.5,
    maximum_interval=timedelta(minutes=2),
    heartbeat_timeout=timedelta(seconds=2),
    schedule_to_close_timeout=timedelta(days=1, hours=1),
    schedule_to_start_timeout=timedelta(minutes=3),
    priority_key=1,
    non_retryable_error_types=("NoSeat",),
    fairness_key="tenant-7",
    fairness_weight=0.5,
)
BARE = PendingCompensation(address="reserve-seat", activity="free-seat", arguments=("seat 7",))
RICH = PendingCompensation(
    address="payment:take-money#2",
    activity="give-back",
    arguments=({"amount": 7, "to": "Zoë"}, {"receipt": "r-1"}),
    takes_result=True,
    task_queue="bank",
    policy=PATIENT,
)
CONFIRMATION = PendingConfirmation(
    address="reserve-seat", activity="take-seat", arguments=("seat 7", "r-1"), takes_result=True
)
PARALLEL = ParallelCompensations(
    branches=((BARE, RICH), (ParallelCompensations(branches=((BARE,), (RICH,))),))
)
RESERVE: Operation[str, str] = Operation(
    name="reserve-seat",
    participant="cinema",
    message=str,
    result=str,
    rejections=frozenset({"sold_out", "closed", "too_young"}),
)
FREE: Operation[str, str] = Operation(name="free-seat", participant="cinema", message=str, result=str)
STEP = action(RESERVE).compensated_by(
    FREE,
    options=ActivityOptions(
        start_to_close_timeout=PATIENT.start_to_close_timeout,
        schedule_to_start_timeout=PATIENT.schedule_to_start_timeout,
        schedule_to_close_timeout=PATIENT.schedule_to_close_timeout,
        heartbeat_timeout=PATIENT.heartbeat_timeout,
        retry_policy=RetryPolicy(
            maximum_attempts=PATIENT.maximum_attempts,
            initial_interval=PATIENT.initial_interval,
            backoff_coefficient=PATIENT.backoff_coefficient,
            maximum_interval=PATIENT.maximum_interval,
            non_retryable_error_types=PATIENT.non_retryable_error_types,
        ),
        priority=Priority(
            priority_key=PATIENT.priority_key,
            fairness_key=PATIENT.fairness_key,
            fairness_weight=PATIENT.fairness_weight,
        ),
        task_queue="cinema",
    ),
)
PLAIN_STEP = action(RESERVE).compensated_by(FREE)
HOLD_ENTRY = AuditEntry(verb=_verbs.HOLD, at="2026-01-02T03:04:05+00:00", by="mia", because="why not")
DECIDED = AuditEntry(
    verb=_verbs.APPROVE,
    at="2026-01-02T03:05:05+00:00",
    by="tom",
    because="too much",
    target="large-order",
    is_approved=False,
)
BY_MIA = OperatorRequest(by="mia", because="the bank said so", roles=frozenset({"clerk"}))


TRAVELLING_PHASES = (Phase.FORWARD, Phase.PAST_PIVOT, Phase.COMPENSATING)
"""The phases of written ledgers; other phases are in-process only."""


def ledger(phase: Phase = Phase.COMPENSATING) -> LedgerSnapshot:
    """Entries of every outcome, children, best effort, lanes, and a compensated entry."""
    book = Ledger(CompensationScope.ATTEMPTED, CompensationOrder.PARALLEL)
    for outcome in Outcome:
        address = book.next_address("reserve-seat")
        book.start(address, BARE.model_copy(update={"address": address}))
        book.fail(address, outcome)
    book.start(book.next_address("send-news"), is_best_effort=True)
    book.start(book.next_address("check-credit"), is_read_only=True)
    book.start(book.next_address("payment"), is_child=True)
    book.complete_child("payment", (PARALLEL, RICH))
    book.start(book.next_address("trip"), is_child=True)
    book.mark_compensated("reserve-seat#2")
    return LedgerSnapshot.of(book, phase)


CONTINUED = ContinuedState(
    ledger=ledger(),
    started_at=WHEN,
    published_status=Status.COMPENSATING,
    after_compensation=(
        *(StepAfterCompensation.model_validate(dict(each)) for each in (BARE, RICH)),
        StepAfterCompensation(
            address="tell-customer", activity="tell", arguments=(), effect=EffectClass.READ_ONLY
        ),
    ),
    manual_resolutions={"payment:take-money": "completed-manually", "reserve-seat": "skipped"},
    audit_trail=(HOLD_ENTRY, DECIDED),
    unconsumed_events={"visa": [{"number": "v"}, "w"]},
    expired_waits={"news": LATER},
    deadline=WHEN,
)
REQUEST = rescue.RescueRequest(
    saga_id="order-7",
    run_id="run-1",
    compensations=(PARALLEL, BARE),
    unresolved_children=("trip",),
    by="mia",
    because="terminated",
    roles=frozenset({"clerk"}),
)


def _memos() -> "dict[str, Sample[Any]]":
    inside = ChildMemo(parent_id="order-7", sections=(SectionSpec(address="maple"),))
    return {
        "child memo": as_payload(ChildMemo(parent_id="order-7", is_pivot=True)),
        "child memo, default": as_payload(ChildMemo()),
        "independent memo": as_payload(IndependentMemo(parent_id="order-7")),
        "child memo, in a section": as_payload(inside),
        "child memo, waiting": as_payload(ChildMemo(parent_id="order-7", parent_on_stuck=OnStuck.WAIT)),
        "forgotten steps": as_payload(
            _verbs.ForgottenSteps(reasons={"reserve-stock": "the shop has taken over"})
        ),
    }


def _confirmations() -> dict[str, Sample[Any]]:
    """Pending confirmations, alone and in the models around."""
    return {
        "confirmation": as_payload(CONFIRMATION),
        "entry, to be confirmed": as_payload(
            EntrySnapshot(address="reserve-seat", outcome=Outcome.DONE, confirmations=(CONFIRMATION,))
        ),
        "child result, to be confirmed": as_payload(
            child_result_type(str)(result="r", confirmations=(CONFIRMATION,)), child_result_type(str)
        ),
    }


def models() -> dict[str, Sample[Any]]:
    """Inputs, results, memos, signals and updates of workflows and activities."""
    closed: ChildResult[Any] = child_result_type(dict[str, int])(
        result={"n": 7}, compensations=(PARALLEL,), manual_resolutions={"a": "skipped"}
    )
    bare: ChildResult[Any] = child_result_type(str)(result="r")
    finding: ProbeResult[str] = ProbeResult[str](outcome="done", result="seat 7")
    return {
        "policy, default": as_payload(ActivityPolicy()),
        "policy": as_payload(PATIENT),
        "compensation, default": as_payload(BARE),
        "compensation": as_payload(RICH),
        "parallel compensations": as_payload(PARALLEL),
        "entry, default": as_payload(EntrySnapshot(address="reserve-seat", outcome=Outcome.STARTED)),
        "entry": as_payload(
            EntrySnapshot(
                address="payment",
                outcome=Outcome.DONE,
                compensations=(PARALLEL, RICH),
                is_child=True,
                is_best_effort=True,
            )
        ),
        "ledger, new": as_payload(LedgerSnapshot()),
        "ledger, waiting": as_payload(LedgerSnapshot(on_stuck=OnStuck.WAIT)),
        **{f"ledger, {phase.value}": as_payload(ledger(phase)) for phase in TRAVELLING_PHASES},
        "continued state, default": as_payload(ContinuedState(ledger=LedgerSnapshot())),
        "continued state": as_payload(CONTINUED),
        **_memos(),
        **_confirmations(),
        "child result": as_payload(closed, child_result_type(dict[str, int])),
        "child result, default": as_payload(bare, child_result_type(str)),
        "probe result, done": as_payload(finding, ProbeResult[str]),
        "probe result, rejected": as_payload(
            ProbeResult[str](outcome="rejected", code="sold_out", reason="no seat"), ProbeResult[str]
        ),
        "probe result, unknown": as_payload(ProbeResult[str](outcome="unknown"), ProbeResult[str]),
        "request": as_payload(BY_MIA),
        "request, default": as_payload(OperatorRequest(by="mia", because="b")),
        "skip": as_payload(SkipRequest(step="seat", by="mia", because="b")),
        "complete": as_payload(CompleteRequest(step="seat", result={"n": 7}, by="mia", because="b")),
        "complete, default": as_payload(CompleteRequest(step="seat", by="mia", because="b")),
        "approval": as_payload(
            ApproveRequest(approval="large", is_approved=False, by="m", because="b", roles=frozenset({"r"}))
        ),
        "approval, default": as_payload(ApproveRequest(approval="large", by="m", because="b")),
        "audit entry, default": as_payload(HOLD_ENTRY),
        "audit entry": as_payload(DECIDED),
        "rescue request": as_payload(REQUEST),
        "rescue request, default": as_payload(rescue.RescueRequest(saga_id="order-7", by="m", because="b")),
        "rescue request, waiting": as_payload(REQUEST.model_copy(update={"on_stuck": OnStuck.WAIT})),
        "rescue request, in chunks": as_payload(
            rescue.RescueRequest(saga_id="order-7", is_chunked=True, by="m", because="b")
        ),
        "pending compensations": as_payload(REQUEST.pending),
        "pending compensations, waiting": as_payload(rescue.PendingCompensations(on_stuck=OnStuck.WAIT)),
        "pending compensations, as the text of chunks": Sample(
            REQUEST.pending,
            rescue.PendingCompensations.model_dump_json,
            rescue.PendingCompensations.model_validate_json,
        ),
        "chunk": as_payload(split("pending compensations")[0]),
        "rescued": as_payload(
            rescue.RescueResult(compensated=("a", "b"), manual_resolutions={"c": "completed-manually"})
        ),
        "rescued, default": as_payload(rescue.RescueResult(compensated=())),
        "decision": as_payload(ApprovalDecision(by="mia", because="b", at=WHEN)),
    }


def activity_headers() -> dict[str, Sample[Any]]:
    """The headers of activities."""
    full = {
        f"{purpose.value}, {scope.value}, {order.value}": as_header(
            action_header(STEP, purpose, CompensationRules(scope, order))
        )
        for purpose in Purpose
        for scope in CompensationScope
        for order in CompensationOrder
    }
    plain = {f"plain {purpose.value}": as_header(plain_header(purpose)) for purpose in Purpose}
    usual = as_header(action_header(PLAIN_STEP, Purpose.STEP, CompensationRules()))
    whole = CompensationSpec(activity="give-back", takes_result=True, task_queue="bank", policy=PATIENT)
    header = ActivityHeader(purpose=Purpose.STEP, compensation=whole, rejections=("a", "b"))
    classes = {
        f"step, {step.effect.value}": as_header(action_header(step, Purpose.STEP, CompensationRules()))
        for step in (action(RESERVE).read_only(), action(RESERVE).irreversible())
    }
    after = as_header(plain_header(Purpose.AFTER_COMPENSATION, effect=EffectClass.READ_ONLY))
    waiting = CompensationRules(on_stuck=OnStuck.WAIT)
    section = SectionSpec(address="maple", order=CompensationOrder.PARALLEL)
    inside = ActivityHeader(purpose=Purpose.STEP, sections=(section,))
    unit = ActivityHeader(purpose=Purpose.COMPENSATION, unit="maple")
    units = {
        "in a section": as_payload(inside),
        "to be confirmed": as_payload(
            ActivityHeader(purpose=Purpose.STEP, confirmation=ConfirmationSpec(activity="take-seat"))
        ),
        "compensation of a section": as_payload(unit),
        "step, waiting": as_header(action_header(PLAIN_STEP, Purpose.STEP, waiting)),
    }
    return {
        **full,
        **plain,
        **classes,
        **units,
        "step, usual": usual,
        "with result": as_payload(header),
        "after compensation, read-only": after,
    }


# --- orchestration: errors ------------------------------------------------------------------------------


class OfSomebodyElseError(Exception):
    """An error that no package of this project knows."""


ENDINGS: dict[str, BaseException] = {
    "rejected": RejectedError("sold_out", "no seat", "row.seat"),
    "rejected, no field": RejectedError("sold_out", "no seat"),
    "child rejected": children.ChildCompensatedError(RejectedError("sold_out", "no seat"), {}),
    "child timed out": children.ChildCompensatedError(
        RejectedError("sold_out", "no seat"), {}, FailureKind.TIMED_OUT
    ),
    "unknown": UnknownOutcomeError("reserve-seat", "no response arrived in time"),
    "deadline": DeadlineExceededError("the saga"),
    "compensation requested": CompensationRequestedError("mia", "why not"),
    "child outcome unknown": saga_errors.ChildOutcomeUnknownError("child 'payment' ended"),
    "definition": saga_errors.DefinitionError("a saga has one pivot"),
    "too late": saga_errors.TooLateError("comes after the pivot"),
    "saga": saga_errors.SagaError("it is too large"),
    "foreign": OfSomebodyElseError("boom"),
    "foreign, without a text": OfSomebodyElseError(),
}


def failures() -> dict[str, Sample[Any]]:
    """The failures of rejections and compensated sagas, and the error responses of updates."""
    manual_resolutions = {"seat": "skipped", "payment:take": "completed-manually"}
    found: dict[str, Sample[Any]] = {
        "rejection": as_failure(
            _failures.to_application_error(RejectedError("sold_out", "no seat", "row.seat"))
        ),
        "rejection, no field": as_failure(
            _failures.to_application_error(RejectedError("sold_out", "no seat"))
        ),
    }
    for name, error in ENDINGS.items():
        found[f"compensated: {name}"] = as_failure(_failures.compensated(error, {}))
        found[f"settled: {name}"] = as_failure(_failures.compensated(error, manual_resolutions))
    run = RunContext()
    run.lifecycle.open()
    run.lifecycle.complete()
    for name, error in ENDINGS.items():
        if isinstance(error, saga_errors.SagaError):
            answer = update_error(run, error)
            assert isinstance(answer, ApplicationError)
            found[f"update: {name}"] = as_failure(answer)
    return found


def readings() -> dict[str, object]:
    """The readings of failures: by `outcome_of_failure`, and by the parent of a child."""
    kinds = [
        _failures.REJECTED,
        "SomeRejection",
        _failures.SAGA_COMPENSATED,
        _failures.SAGA_SETTLED,
        _failures.SAGA_REFUSED,
        _failures.SAGA_FOREIGN_WORK,
        "DefinitionError",
        "TooLateError",
        "Other",
    ]
    found: dict[str, object] = {}
    for kind in kinds:
        error = ActivityError(
            "",
            scheduled_event_id=5,
            started_event_id=6,
            identity="",
            activity_type="a",
            activity_id="a",
            retry_state=None,
        )
        cause = ApplicationError("no seat", "sold_out", "row.seat", type=kind, non_retryable=True)
        error.__cause__ = cause
        verdict = _failures.outcome_of_failure(error, frozenset({"SomeRejection"}), attempts=3)
        found[kind] = {
            "verdict": [verdict.outcome.value, verdict.code, verdict.reason, verdict.field],
            "reports pending compensations": _failures.reports_pending(cause),
        }
    return found


def error_names() -> dict[str, str]:
    """The names of error classes on the wire, under names that survive a rename of classes.

    Temporal's SDK writes the name of the class where an error of this project is the cause of a failure, or
    ends a workflow (whose class has `failure_exception_types`), a workflow task or an activity untranslated.
    Therefore the names are equal to the names of the classes.
    """
    return {
        "saga": saga_errors.SagaError.wire_type,
        "definition": saga_errors.DefinitionError.wire_type,
        "rejected": saga_errors.RejectedError.wire_type,
        "unknown outcome": saga_errors.UnknownOutcomeError.wire_type,
        "deadline": saga_errors.DeadlineExceededError.wire_type,
        "compensation requested": saga_errors.CompensationRequestedError.wire_type,
        "too late": saga_errors.TooLateError.wire_type,
        "child outcome unknown": saga_errors.ChildOutcomeUnknownError.wire_type,
        "start": saga_errors.StartError.wire_type,
        "duplicate saga": saga_errors.DuplicateSagaError.wire_type,
        "saga not found": saga_errors.SagaNotFoundError.wire_type,
        "verb refused": saga_errors.VerbRefusedError.wire_type,
        "no worker": saga_errors.NoWorkerError.wire_type,
        "child rejected": children.ChildCompensatedError.wire_type,
        "contract": event_errors.ContractError.wire_type,
        "bus unavailable": event_errors.BusUnavailableError.wire_type,
        "unroutable": event_errors.UnroutableError.wire_type,
        "topology": event_errors.TopologyError.wire_type,
        "dead letter": event_errors.DeadLetterError.wire_type,
    }


CHILD_ENDINGS: dict[str, BaseException] = {
    "cancelled": CancelledError("Cancelled"),
    "compensated": _failures.compensated(RejectedError("sold_out", "no seat", "row"), {}),
    "settled": _failures.compensated(RejectedError("sold_out", "no seat"), {"seat": "skipped"}),
    "foreign work": ApplicationError("no", type=_failures.SAGA_FOREIGN_WORK),
    "refused": ApplicationError("no", type=_failures.SAGA_REFUSED),
    "without a type": ApplicationError("no"),
    "bug": ApplicationError("no", type="DefinitionError"),
    "terminated": TerminatedError("by hand"),
}


def endings_of_children() -> dict[str, object]:
    """The readings of a child's end by the parent, and of a child that was never started."""
    found: dict[str, object] = {}
    for name, cause in CHILD_ENDINGS.items():
        error = ChildWorkflowError(
            "",
            namespace="n",
            workflow_id="order-7/payment",
            run_id="r",
            workflow_type="t",
            initiated_event_id=1,
            started_event_id=2,
            retry_state=None,
        )
        error.__cause__ = cause
        found[name] = _refusal_in(children._translated("payment", error))
    started = WorkflowAlreadyStartedError("order-7/payment", "PaymentSaga")
    return {
        **found,
        "duplicate": _refused_child(lambda: None, started),
        "cancelled before its start": _refused_child(_cancel, started),
        "cancelled, with manual resolutions": _leave(),
    }


def _refusal_in(error: BaseException) -> object:
    if isinstance(error, RejectedError):
        manual_resolutions = getattr(error, "manual_resolutions", {})
        return ["rejected", error.code, error.reason, error.field, dict(manual_resolutions)]
    assert isinstance(error, saga_errors.ChildOutcomeUnknownError)
    return ["lost", str(error)]


def _cancel() -> None:
    raise asyncio.CancelledError


def _refused_child(make_room: Callable[[], None], error: Exception) -> object:
    async def room(_: int) -> None:
        make_room()

    async def start(*_: object, **__: object) -> None:
        raise error

    run = SimpleNamespace(
        task_size=SimpleNamespace(make_room=room), concurrency=ConcurrencyLimit(), open_children=None
    )
    info = SimpleNamespace(workflow_id="order-7")
    with (
        patch.object(children, "current_context", lambda: run),
        patch.object(children, "encode_arguments", lambda *_, **__: [RawValue(Payload())]),
        patch.object(children, "run_uncancelled", lambda body: body),
        patch.object(workflow, "start_child_workflow", start),
        patch.object(workflow, "info", lambda: info),
    ):
        child = children.run_child(PaymentSaga.run, PLACED.payment, children.Child(name="payment"))
        try:
            asyncio.run(child)
        except RejectedError as refused:
            return _refusal_in(refused)
    raise AssertionError


def _leave() -> object:
    lifecycle = SimpleNamespace(resolutions={"seat": "skipped"}, compensation_cause=None)
    back = SimpleNamespace(_scope=SimpleNamespace(lifecycle=lifecycle, was_requested_first=False))
    info = SimpleNamespace(workflow_id="order-7/payment")
    with patch.object(workflow, "info", lambda: info):
        try:
            CompensationExecution.raise_final(cast("Any", back), asyncio.CancelledError(), was_cancelled=True)
        except ApplicationError as error:
            return [error.type, error.message, list(error.details)]


# --- orchestration: constants ---------------------------------------------------------------------------

ENUMS: dict[str, type[StrEnum]] = {
    "outcome": Outcome,
    "scope": CompensationScope,
    "compensation order": CompensationOrder,
    "phase": Phase,
    "purpose": Purpose,
    "on failure": OnFailure,
    "on stuck": OnStuck,
    "status": Status,
    "state of a key": fence_decision.KeyState,
    "recovery direction": RecoveryDirection,
    "close status": CloseStatus,
    "failure kind": FailureKind,
    "effect class": EffectClass,
    "kind of foreign work": ForeignKind,
    "state of a compensation": CompensationState,
    "decision of a rescue": rescuing.RescueDecision,
    "listed status": ListedStatus,
}


def names() -> dict[str, object]:
    """Names of headers, memos, updates, signals, types, codes, attributes and metrics."""
    return {
        "header": HEADER,
        "memos": [
            CHILD_MEMO,
            CONTINUED_STATE_MEMO,
            FOREIGN_WORK_MEMO,
            INDEPENDENT_MEMO,
            _verbs.FORGOTTEN_MEMO,
        ],
        "metadata of a state": STATE,
        "status": _status(),
        "search attribute": [SAGA_STATUS.name, SAGA_STATUS.indexed_value_type.name],
        "verbs": {
            "hold": _verbs.HOLD,
            "resume": _verbs.RESUME,
            "retry": _verbs.RETRY,
            "skip": _verbs.SKIP,
            "complete": _verbs.COMPLETE,
            "compensate": _verbs.COMPENSATE,
            "approve": _verbs.APPROVE,
        },
        "verbs in histories": sorted(VERBS),
        "rescue": [
            rescue.RESCUE_TYPE,
            WorkflowDefinition.must_from_class(rescue_workflow.RescueSaga).name,
            rescue.CHUNK_SIGNAL,
        ],
        "signals of a rescue": sorted(
            str(each) for each in WorkflowDefinition.must_from_class(rescue_workflow.RescueSaga).signals
        ),
        "reason of a reset": reset.RESET_REASON,
        "verb of a rescue": asking.VERB,
        "types of errors": {
            "rejected": _failures.REJECTED,
            "compensated": _failures.SAGA_COMPENSATED,
            "settled": _failures.SAGA_SETTLED,
            "refused": _failures.SAGA_REFUSED,
            "foreign work": _failures.SAGA_FOREIGN_WORK,
        },
        "patch of bugs": BUGS_PATCH,
        "codes": {
            "no worker": _failures.NO_WORKER,
            "child outcome unknown": _failures.CHILD_OUTCOME_UNKNOWN,
            "not approved": NOT_APPROVED,
            "message too large": attempt.MESSAGE_TOO_LARGE,
            "message unreadable": attempt.MESSAGE_UNREADABLE,
            "skipped": SKIPPED,
        },
        "names of errors": error_names(),
        "summaries of timers": {"deadline": DEADLINE, "next attempt": NEXT_ATTEMPT, **timers()},
        "plugin": SagaPlugin().name(),
        "metrics": dict(_metrics.DESCRIPTIONS),
        "attribute of metrics": _metrics.STATUS,
        "buckets": {name: list(each) for name, each in METRIC_BUCKETS.items()},
        "workflow types": [
            WorkflowDefinition.must_from_class(each).name for each in (OrderSaga, PaymentSaga)
        ],
        **{
            f"values: {name}": {m.value: str(m) for m in kind if kind is not Phase or m in TRAVELLING_PHASES}
            for name, kind in ENUMS.items()
        },
    }


def _status() -> object:
    """The published statuses, in the search attribute or in the memo."""
    published: list[object] = []

    def attribute(updates: Any) -> None:
        published.append([[each.key.name, each.key.indexed_value_type.name, each.value] for each in updates])

    info = SimpleNamespace(workflow_start_time=WHEN)
    with (
        patch.object(workflow, "metric_meter", lambda: MetricMeter.noop),
        patch.object(workflow, "info", lambda: info),
        patch.object(workflow, "now", lambda: LATER),
        patch.object(workflow, "upsert_memo", published.append),
        patch.object(workflow, "upsert_search_attributes", attribute),
    ):
        for search_attributes in (True, False):
            for status in Status:
                StatusPublisher(search_attributes=search_attributes, published=Status.RUNNING).publish(status)
    return published


def ids() -> dict[str, object]:
    """Ids of activities, children and rescues, idempotency keys, and event groups."""
    (group,) = _groups_of("compensate.payment:take-money#2")
    return {
        "prefixes": [_keys.COMPENSATE, _keys.CONFIRM, _keys.PROBE, _keys.RESCUE],
        "key of a step": idempotency_key("order-7", "reserve-stock#2"),
        "key of a compensation": idempotency_key("order-7", f"{_keys.COMPENSATE}reserve-stock"),
        "key of a probe": idempotency_key("order-7", f"{_keys.PROBE}reserve-stock"),
        "key of a child": idempotency_key("order-7/payment", "capture"),
        "key of a child's step in the parent": idempotency_key("order-7", "compensate.payment/fees:charge"),
        "key in a rescue": idempotency_key("order-7~rescue-2", "compensate.payment:capture"),
        "address": _keys.address_of("compensate.probe.payment:capture"),
        "rescues": [_keys.rescue_id("order-7", number) for number in (1, 2, 3)],
        "rescued": [_keys.rescued_by(each) for each in ("order-7", "order-7~rescue", "order-7~rescue-12")],
        "child": _keys.child_id("order-7", "payment"),
        "in the parent": [_keys.in_parent("payment", each) for each in ("capture#2", "fees:charge")],
        "event group": group,
        "started workflows": _started(),
        "queries": {
            each: [searching._where(each), searching._attribute(each)] for each in sorted(searching.STATUSES)
        },
    }


def _groups_of(activity_id: str) -> list[str]:
    made: list[str] = []
    with patch.object(workflow, "create_event_group", made.append):
        event_groups_of(activity_id)
    return made


class _StopError(Exception):
    """Stops a function as soon as the test has the data."""


class _Client:
    """Records the options of a started workflow."""

    data_converter = SimpleNamespace(payload_converter=CONVERTER)
    options: dict[str, object]

    async def start_workflow(self, run: Callable[..., object], request: object, **named: Any) -> None:
        self.options = {
            name: str(value) for name, value in sorted(named.items()) if name != "id_reuse_policy"
        }
        self.options["input"] = payload_text(CONVERTER.to_payloads([request])[0])
        raise _StopError


def _started() -> dict[str, object]:
    record = SagaRecord("order-7", run_id="run-1", task_queue="sagas")

    def started_by(begin: Callable[[Any], Coroutine[Any, Any, object]]) -> object:
        client = _Client()
        with suppress(_StopError):
            asyncio.run(begin(client))
        return client.options

    return {
        "rescue": started_by(
            lambda client: asking.start_rescue(client, "order-7~rescue", REQUEST, task_queue="sagas")
        ),
        "reset": started_by(
            lambda client: reset.reset_and_continue(client, cast("Any", None), record, BY_MIA)
        ),
    }


def timers() -> dict[str, object]:
    """The summaries of timers from the waiting code."""
    summaries: list[str] = []
    length = [1]

    async def wait(_: object, *, timeout_summary: str, **__: object) -> None:
        summaries.append(timeout_summary)
        raise TimeoutError

    async def sleep(_: object, *, summary: str) -> None:
        summaries.append(summary)
        length[0] += 1

    async def all_of_them() -> None:
        scope = cast("Any", SimpleNamespace(awaited_approvals={}))
        with suppress(DeadlineExceededError):
            await external_events.ExternalEvents(scope).wait(
                external_events.ExpectedEvent[str]("payment-cleared"), timedelta(days=1)
            )
        with suppress(DeadlineExceededError):
            await Approvals(scope).wait("large-order", "manager", timedelta(days=1))
        task_size = TaskSizeLimit()
        task_size.add(LARGEST_LOAD)
        await task_size.make_room(1)

    info = SimpleNamespace(get_current_history_length=lambda: length[0])
    with (
        patch.object(workflow, "wait_condition", wait),
        patch.object(workflow, "sleep", sleep),
        patch.object(workflow, "now", lambda: WHEN),
        patch.object(workflow, "info", lambda: info),
    ):
        asyncio.run(all_of_them())
    return dict(zip(("event", "approval", "next task"), summaries, strict=True))


# --- HTTP -----------------------------------------------------------------------------------------------


def http() -> dict[str, object]:
    """A request as a participant receives it, and the readings of responses."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json="seat 7")

    async def ask() -> None:
        async with HttpParticipant(
            "cinema",
            "http://cinema.example:8001",
            client=httpx.AsyncClient(transport=httpx.MockTransport(answer)),
        ) as cinema:
            await cinema.call(RESERVE, "Zoë", "order-7:reserve-seat")

    asyncio.run(ask())
    (request,) = sent
    headers = {
        name: text for name, text in request.headers.items() if name in ("content-type", "idempotency-key")
    }
    return {
        "request": [request.method, str(request.url), headers, request.content.decode()],
        "codes": {"voided": http_answers.VOIDED, "in flight": http_answers.IN_FLIGHT},
        "responses": {
            f"{status} {code}": _reading_of(status, code, after)
            for status, code, after in (
                (200, "", None),
                (409, "sold_out", None),
                (409, "undeclared", None),
                (409, http_answers.IN_FLIGHT, "7"),
                (410, http_answers.VOIDED, None),
                (429, "busy", "7"),
                (503, "busy", None),
            )
        },
    }


def _reading_of(status: int, code: str, retry_after: str | None) -> object:
    body = {"code": code, "detail": "no seat", "field": "row.seat"} if code else "seat 7"
    try:
        return read_result(RESERVE, HttpResponse(status, json.dumps(body).encode(), retry_after))
    except RejectedError as error:
        return ["rejected", error.code, error.reason, error.field]
    except ApplicationError as error:
        return [error.type, error.message, error.non_retryable, str(error.next_retry_delay)]


# --- spans ----------------------------------------------------------------------------------------------


@contextmanager
def _spans() -> Generator[list[tuple[str, dict[str, object]]]]:
    """Records every span, with the attributes."""
    spans: list[tuple[str, dict[str, object]]] = []

    class Span(trace.NonRecordingSpan):
        def __init__(self, attributes: dict[str, object]) -> None:
            super().__init__(trace.INVALID_SPAN_CONTEXT)
            self.attributes = attributes

        def is_recording(self) -> bool:
            return True

        def set_attribute(self, key: str, value: object) -> None:
            self.attributes[key] = value

        def set_attributes(self, attributes: Mapping[str, object]) -> None:
            self.attributes.update(attributes)

    class Tracer:
        def __init__(self, scope: str) -> None:
            self.scope = scope

        @contextmanager
        def start_as_current_span(
            self,
            name: str,
            context: object = None,
            kind: object = None,
            attributes: Mapping[str, object] | None = None,
            *_: object,
            **__: object,
        ) -> Generator[Span]:
            found = dict(attributes or {})
            spans.append((f"{self.scope}: {name}", found))
            yield Span(found)

    def current(*_: object) -> Span:
        found: dict[str, object] = {}
        spans.append(("current", found))
        return Span(found)

    with (
        patch.object(trace, "get_tracer", Tracer),
        patch.object(trace, "get_current_span", current),
        patch.object(event_tracing, "_creation_links", lambda _: ()),
    ):
        yield spans


def spans() -> dict[str, object]:
    """Names and attributes of all spans of this project."""
    with _spans() as found:
        for error in (None, RejectedError("sold_out", "no seat"), event_errors.ContractError("no")):
            with (
                suppress(saga_errors.SagaError),
                http_tracing.trace_call("cinema", "POST", "/reserve-seat", _URL),
            ):
                _raise(error)
            with (
                suppress(saga_errors.SagaError),
                event_tracing.trace_operation("reserve-seat", "cinema") as span,
            ):
                event_tracing.set_outcome(span, is_done=error is None)
                _raise(error)
            with suppress(saga_errors.SagaError, ApplicationError):
                asyncio.run(_activity(error))
        with event_tracing.trace_sending(EVENT), event_tracing.trace_processing(EVENT, "cinema"):
            event_tracing.trace_creation(EVENT)
        with event_tracing.trace_command("place-order", "order-7", "order"):
            pass
    names = [event_tracing.SAGA_ID, event_tracing.PARTICIPANT, event_tracing.STEP, event_tracing.OUTCOME]
    return {
        "names": [*names, event_tracing.IS_REPEATED, http_tracing.STATUS],
        "spans": [[name, attributes] for name, attributes in found if attributes or name != "current"],
    }


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


_URL = httpx.URL("http://user:secret@cinema.example:8001")


async def _activity(error: Exception | None) -> None:
    class Next:
        async def execute_activity(self, _: object) -> None:
            _raise(error)

    await _ActivityInbound(cast("Any", Next())).execute_activity(cast("Any", None))


# --- choreography ---------------------------------------------------------------------------------------

FIRST = Event(
    id=event_id("order-7", "order-placed", None),
    saga_id="order-7",
    type="order-placed",
    source="order",
    time=WHEN,
    data={"n": 1, "to": ["Zoë", None, 1.5]},
)
EVENT = Event(
    id=event_id("order-7", "seat-reserved", FIRST.id),
    saga_id="order-7",
    type="seat-reserved",
    source="cinema",
    causation_id=FIRST.id,
    time=LATER,
    data={},
    traceparent=TRACE,
)
PLACED = Order(
    order_id="7",
    customer=Customer(id="c-1", email="ada@example.org"),
    lines=(OrderLine(sku="TEA-GREEN", quantity=2),),
    amount=4200,
    currency="EUR",
    method=PaymentMethod(type="card", token="tok_visa", last_four="4242"),
    address=Address(street="Weg 1", postal_code="10115", country="DE"),
)


def message_text(event: Event) -> str:
    """A message with its properties and headers."""
    message: BrokerMessage = encode(event)
    return as_text(
        {
            "body": message.body.decode(),
            "content_type": message.content_type,
            "headers": dict(message.headers),
            "message_id": message.message_id,
            "type": message.type,
            "correlation_id": message.correlation_id,
            "app_id": message.app_id,
            "timestamp": message.timestamp and message.timestamp.isoformat(),
        }
    )


def read_message(text: str) -> Event:
    """The event in a message."""
    found = json.loads(text)
    return decode(found["body"].encode(), found["content_type"])


def stored_text(event: Event) -> str:
    """An event as stored in a row of the outbox."""
    with connected(outbox.SCHEMA) as database:
        outbox.add(database, event)
        return as_text(_rows(database, "saga_outbox"))


def read_stored(text: str) -> Event:
    """The event in a row of the outbox."""
    (row,) = json.loads(text)
    names = list(row)
    with connected(outbox.SCHEMA) as database:
        marks = ", ".join("?" for _ in names)
        database.execute(f"insert into saga_outbox({', '.join(names)}) values({marks})", list(row.values()))
        (waiting,) = outbox.read_due(database, LATER, limit=2)
    return waiting.event


@contextmanager
def connected(schema: str) -> Generator[Any]:
    """A database in memory."""
    database = open_connection(":memory:", schema=schema)
    try:
        yield database
    finally:
        database.close()


def _rows(database: Any, table: str) -> list[dict[str, object]]:
    cursor = database.execute(f"select * from {table}")
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor]


def events() -> dict[str, Sample[Any]]:
    """Events on the broker, and in the outbox."""
    both = {"first": FIRST, "following": EVENT}
    return {
        **{f"{name}, on the broker": Sample(each, message_text, read_message) for name, each in both.items()},
        **{f"{name}, in the outbox": Sample(each, stored_text, read_stored) for name, each in both.items()},
    }


def broker() -> dict[str, object]:
    """Exchanges, queues, bindings, dead letters, limits and ids."""
    wanted = build_broker_topology(Topology(queues={"cinema": frozenset({("order", "order-placed")})}), 20)
    of_examples = build_broker_topology(TOPOLOGY, RabbitOptions().delivery_limit)
    return {
        "layout": _layout(wanted.exchanges, wanted.queues, wanted.bindings),
        "layout of the examples": _layout(of_examples.exchanges, of_examples.queues, of_examples.bindings),
        "dead letters": [DEAD, rabbit_bus._PARTICIPANT, rabbit_bus._REASON, list(rabbit_bus._BROKER_HEADERS)],
        "dead letter": _dead_letter(),
        "reason": describe_exhaustion(21, "ContractError: no"),
        "content type": [CONTENT_TYPE, VERSION, LARGEST_BODY],
        "ids": [event_id("order-7", "order-placed", None), FIRST.id, EVENT.id],
        "codes": {"key reuse": fence.KEY_REUSE, "voided": fence.VOIDED},
    }


def _layout(exchanges: Mapping[str, str], queues: Mapping[str, Any], bindings: Iterable[object]) -> object:
    return {
        "exchanges": dict(exchanges),
        "queues": {name: dict(arguments) for name, arguments in queues.items()},
        "bindings": sorted(list(cast("tuple[str, ...]", each)) for each in bindings),
    }


def _dead_letter() -> object:
    """The dead letter of a message, and the reading of a dead letter."""
    sent: list[BrokerMessage] = []
    bus = rabbit_bus.RabbitBus("amqp://localhost")

    async def send(message: BrokerMessage, *where: object) -> None:
        sent.append(message)

    message = dataclasses.replace(encode(FIRST), headers={"ce-id": "x", "x-death": "y"})
    with patch.object(bus, "_publish", send):
        asyncio.run(bus._publish_dead_letter("cinema", message, "it is no event"))
    read = rabbit_bus._read_dead_letter(sent[0])
    return [dict(sent[0].headers), read.participant, read.reason]


def database() -> dict[str, object]:
    """Tables, and rows of each kind."""
    with connected(fence.SCHEMA + inbox.SCHEMA) as tx:
        for state in ("done", "rejected", "compensated", "voided"):
            _fill(tx, state)
        inbox.admit(tx, _inbox_entry("e-1", "order-placed"), now=WHEN)
        inbox.admit(tx, _inbox_entry("e-2", "place", fingerprint="f"), now=WHEN)
        rows = {"fence": _rows(tx, "saga_step"), "inbox": _rows(tx, "saga_inbox")}
    return {
        "fence": fence.SCHEMA,
        "inbox": inbox.SCHEMA,
        "outbox": outbox.SCHEMA,
        "rows": rows,
        "fingerprint": fence.fingerprint(PLACED),
        "tables of the examples": {
            each.name: _participant(each).tables
            for each in (
                orders.ORDER,
                inventory.INVENTORY,
                shipping.SHIPPING,
                service.PAYMENT,
                notification.NOTIFICATION,
            )
        },
    }


def _participant(each: Participant) -> Participant:
    return each


def _inbox_entry(event_id: str, kind: str, *, fingerprint: str = "") -> inbox.InboxEntry:
    return inbox.InboxEntry(
        participant="cinema", event_id=event_id, saga_id="order-7", type=kind, fingerprint=fingerprint
    )


def _fill(tx: Any, state: str) -> None:
    request = fence.FenceRequest(action="reserve-seat", key=f"order-7:{state}", fingerprint="f")

    def refuse() -> str:
        raise RejectedError("sold_out", "no seat", "row.seat")

    if state != "voided":
        fence.act(tx, request, refuse if state == "rejected" else lambda: '"seat 7"', now=WHEN)
    if state in ("compensated", "voided"):
        fence.compensate(tx, request, lambda: None, now=LATER)


def examples() -> dict[str, object]:
    """Operations, event types, commands, schemas and a whole order of the examples, as choreography."""
    event_types = [*_of(order_events, EventType), *_of(payment_events, EventType)]
    commands = [*_of(order_events, CommandType), *_of(payment_events, CommandType)]
    return {
        "operations": {
            each.name: [
                each.participant,
                sorted(each.rejections),
                _schema(each.message),
                _schema(each.result),
            ]
            for each in example_worker.OPERATIONS
        },
        "event types": {each.name: [each.source, each.is_final, _schema(each.data)] for each in event_types},
        "commands": {each.name: _schema(each.data) for each in commands},
        "queues": sorted(REACTIONS),
        "order": order_events.place_order.saga_id(PLACED),
        "payment": payment_events.place_payment.saga_id(PLACED.payment),
        "story": _story(),
    }


def _of(module: object, kind: type[Any]) -> list[Any]:
    return [each for each in vars(module).values() if isinstance(each, kind)]


def _schema(model: type[Any]) -> object:
    """A schema without the names and docstrings of classes."""

    def without(value: object, definitions: Mapping[str, object]) -> object:
        if isinstance(value, dict):
            if "$ref" in value:
                return without(definitions[value["$ref"].rpartition("/")[2]], definitions)
            return {
                key: without(each, definitions)
                for key, each in value.items()
                if key not in ("title", "description", "$defs")
            }
        return [without(each, definitions) for each in value] if isinstance(value, list) else value

    schema = TypeAdapter(model).json_schema()
    return without(schema, schema.get("$defs", {}))


def _story() -> list[object]:
    """The events of an order, from the command to the last event, with the rows of every database."""
    databases: dict[str, Any] = {}
    reactions: dict[str, Reactions] = {}
    for name, each in REACTIONS.items():
        participant = dataclasses.replace(each.participant, clock=lambda: WHEN)
        reactions[name] = copy(each)
        reactions[name].participant = participant
        databases[name] = open_connection(":memory:", schema=build_schema(participant))
    events: list[object] = []
    CommandProcessor(reactions["order"]).execute(databases["order"], order_events.place_order, PLACED)
    while waiting := [
        (name, found) for name, tx in databases.items() for found in outbox.read_due(tx, LATER, limit=9)
    ]:
        for name, row in waiting:
            outbox.delete(databases[name], [row.seq])
            events.append(message_text(row.event))
            for subscriber in sorted(TOPOLOGY.find_subscribers(row.event)):
                processor = EventProcessor(reactions[subscriber])
                processor.process(databases[subscriber], processor.parse(row.event))
    for name, tx in sorted(databases.items()):
        events += [name, _rows(tx, "saga_step"), _rows(tx, "saga_inbox")]
        tx.close()
    return events


# --- workers --------------------------------------------------------------------------------------------


def as_json(value: T) -> Sample[T]:
    """A model stored in a file as JSON."""
    kind = cast("type[BaseModel]", type(value))
    return Sample(
        value,
        lambda each: cast("BaseModel", each).model_dump_json(indent=1),
        lambda text: cast("T", kind.model_validate_json(text)),
    )


def files() -> dict[str, Sample[Any]]:
    """The files that another version finds in a folder."""
    run = RecordedRun(
        file="1-OrderSaga.json",
        workflow_type="OrderSaga",
        workflow_id="order-7",
        run_id="r",
        events=7,
        last_event="WorkflowExecutionCompleted",
    )
    manifest = Manifest(
        saga_id="order-7",
        workflow_type="OrderSaga",
        started_at="2026-01-02T03:04:05Z",
        sdk="0.2.0",
        temporalio="1.35.0",
        runs=(run,),
    )
    return {
        "manifest": as_json(manifest),
        "claim": as_json(RunningServer(pid=1, owner_pid=2)),
        "claim of Temporal": as_json(
            RunningTemporalServer(
                pid=1, owner_pid=2, address="127.0.0.1:7233", ui_url="http://127.0.0.1:8233"
            )
        ),
        "claim of RabbitMQ": as_json(
            RunningRabbitMQNode(pid=1, owner_pid=2, url="amqp://u:p@127.0.0.1:5672/")
        ),
    }


def settings() -> dict[str, object]:
    """Names of environment variables, files, users and attributes."""
    folder = Path("data")
    return {
        "environment": sorted(f"{worker_settings.PREFIX}{name.upper()}" for name in Settings.model_fields),
        "search attributes": SEARCH_ATTRIBUTES,
        "files": [
            str(path)
            for server in (TEMPORAL, RABBITMQ)
            for path in (_address_file(folder, server), _lock_file(folder, server))
        ],
        "manifest": MANIFEST,
        "left out of histories": sorted(LEFT_OUT),
        "node": [NODE, USER],
        "default task queue": Settings.model_fields["task_queue"].default,
    }


# --- what commands answer in JSON -----------------------------------------------------------------------


def cli_json() -> dict[str, Sample[Any]]:
    """The answers of `sagas ... --json`."""
    return {
        "timeline, default": _answer(
            Timeline(id="order-7", status="running", recovery_direction=RecoveryDirection.BACKWARD)
        ),
        "timeline": _answer(_timeline()),
        "preview, default": _answer(Preview(id="order-7", recovery_direction=RecoveryDirection.FORWARD)),
        "preview": _answer(
            Preview(
                id="order-7",
                recovery_direction=RecoveryDirection.BACKWARD,
                compensations=(PlannedCompensation(address="seat", activity="free-seat", branch="2.1"),),
                remaining_effects=(
                    RemainingEffect(address="news", outcome=Outcome.DONE, reason="skipped by mia: b"),
                ),
                unresolved_children=("trip",),
                superseded_compensations=(PlannedCompensation(address="card", activity="give-back"),),
                confirmations=(PlannedConfirmation(address="seat", activity="take-seat"),),
                has_completed=True,
                is_compensating=True,
                root_id="order",
            )
        ),
        "list": Sample(
            (_summary(""), _summary("compensated")),
            _json_list,
            lambda text: tuple(SagaSummary.model_validate(each) for each in json.loads(text)),
        ),
        "rescue": _answer(
            Rescue(
                saga_id="order-7",
                decision=rescuing.RescueDecision.COMPENSATING,
                workflow_id="order-7~rescue",
                run_id="r",
                pending=("seat",),
                unresolved_children=("trip",),
                is_new=False,
            )
        ),
        "rescue, default": _answer(
            Rescue(saga_id="order-7", decision=rescuing.RescueDecision.NOTHING_PENDING)
        ),
        "verb": _answer(CommandResult(saga_id="order-7", verb="hold", status="held")),
    }


def _answer(value: T) -> Sample[T]:
    kind = cast("type[BaseModel]", type(value))
    return Sample(
        value,
        lambda each: _json(cast("BaseModel", each)),
        lambda text: cast("T", kind.model_validate_json(text)),
    )


def _summary(of_rescue: str) -> SagaSummary:
    return SagaSummary(
        id="order-7",
        type="OrderSaga",
        status="terminated",
        rescue=of_rescue,
        started_at=WHEN,
        ended_at=LATER,
        task_queue="sagas",
    )


def _step_line() -> StepLine:
    line = CompensationLine(
        address="seat",
        activity="free-seat",
        state=CompensationState.COMPLETED_MANUALLY,
        started_at=WHEN,
        ended_at=LATER,
        attempts=2,
        reason="no",
    )
    return StepLine(
        address="seat",
        purpose="child",
        outcome=Outcome.UNKNOWN,
        activity="reserve-seat",
        started_at=WHEN,
        ended_at=LATER,
        attempts=3,
        code="sold_out",
        reason="no seat",
        compensations=(line,),
        child=Timeline(id="order-7/trip", status="running", recovery_direction=RecoveryDirection.BACKWARD),
        superseded_run_id="r-0",
        manual_resolution="skipped",
        confirmations=(ConfirmationLine(address="seat", activity="take-seat", state=CompensationState.DONE),),
    )


def _timeline() -> Timeline:
    return Timeline(
        id="order-7",
        run_id="r",
        type="OrderSaga",
        status="terminated",
        recovery_direction=RecoveryDirection.FORWARD,
        status_at=WHEN,
        started_at=WHEN,
        ended_at=LATER,
        close_status=CloseStatus.TERMINATED,
        code="c",
        reason="r",
        steps=(_step_line(),),
        foreign_work=(
            ForeignLine(
                name="send_mail",
                kind=ForeignKind.LOCAL_ACTIVITY,
                outcome=Outcome.DONE,
                started_at=WHEN,
                ended_at=LATER,
            ),
        ),
        remaining_effects=(RemainingEffect(address="send-news", outcome=Outcome.UNKNOWN),),
        task_failure=TaskFailure(reason="a bug", since=WHEN),
        waits=(PendingWait(condition=NEXT_ATTEMPT, until=LATER),),
        audit_trail=(HOLD_ENTRY, DECIDED),
        cancel_requests=(CancelRequest(at=WHEN, reason="no more"),),
        continued_from="r-0",
        continued_as="r-2",
        rescues=(
            Timeline(
                id="order-7~rescue", status="compensated", recovery_direction=RecoveryDirection.BACKWARD
            ),
        ),
    )


def read_story(history: WorkflowHistory) -> object:
    """The readings of a stored run: the timeline and the preview."""
    converter = dataclasses.replace(DataConverter.default, payload_converter_class=SagaPayloadConverter)
    record = read_history(history.workflow_id, history.events, converter)
    return [build_timeline(record).model_dump(mode="json"), build_preview(record).model_dump(mode="json")]


def recorded() -> Generator[tuple[str, WorkflowHistory]]:
    """Every stored run, with the name of the file."""
    for recording in read_recordings(STORED):
        folder = recording.folder.relative_to(STORED).as_posix()
        for run, history in zip(recording.manifest.runs, recording.histories, strict=True):
            yield f"{folder}/{run.file}", history


def replayer(runner: WorkflowRunner) -> Replayer:
    """Replays stored runs."""
    return Replayer(workflows=WORKFLOWS, workflow_runner=runner, plugins=[SagaPlugin()])


PACKAGES = (sagas, choreography)
"""Packages in which every model and enumeration has a sample, or a reason to need none."""

WORKFLOWS: list[type] = [OrderSaga, PaymentSaga, TripSaga, SectionSaga, ParcelSaga]
"""The workflows of the stored histories."""

CONSTANTS: dict[str, Callable[[], dict[str, object]]] = {
    "names": names,
    "ids": ids,
    "readings of failures": readings,
    "endings of children": endings_of_children,
    "http": http,
    "spans": spans,
    "broker": broker,
    "database": database,
    "examples": examples,
    "settings": settings,
}
"""Constants to compare, by section."""

SAMPLES: dict[str, Callable[[], dict[str, Sample[Any]]]] = {
    "models": models,
    "headers": activity_headers,
    "failures": failures,
    "events": events,
    "files": files,
    "cli-json": cli_json,
}
"""Samples to write and to read again, by section."""

IN_PROCESS_ONLY: dict[type[object], str] = {
    _Model: "the base of the models of a timeline, of which there are no instances",
    fence_decision.RequestKind: "says which of its functions the fence was called by",
    fence_decision.Match: "says how two rows compare",
    fence_decision.FenceDecision: "says what the fence does next",
    Failpoint: "names moments at which a test kills a process",
    EffectState: "says what scripted participants hold in a test",
}
"""Models and enumerations that never leave their process, each with the reason."""
