"""A payload codec with a serialization context: each payload belongs to an activity or a workflow."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from sagas import Compensated, Completed, DuplicateSagaError, SagaHandle, SagaPlugin, start_saga
from sagas.operator import SagaClient
from tests.waiting import until

from ..fixtures.sagas_command import sagas
from ..fixtures.trip_participants import rejects
from ..fixtures.trip_plan import TripPlan
from ..fixtures.trip_saga import PLANNED_FAILURE, TripSaga
from ..fixtures.worker_harness import Ending, Handle, WorkerHarness


class Sealed(PayloadCodec, WithSerializationContext):
    """Seals payloads with the context of the owner, and decodes only payloads with the same context."""

    def __init__(self, context: SerializationContext | None = None) -> None:
        match context:
            case ActivitySerializationContext():
                self.seal = f"{context.workflow_id}:{context.activity_id}"
            case WorkflowSerializationContext():
                self.seal = context.workflow_id
            case _:
                self.seal = ""

    def with_context(self, context: SerializationContext) -> Self:
        return type(self)(context)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        seal = {"encoding": b"sealed", "for": self.seal.encode()}
        return [Payload(metadata=seal, data=payload.SerializeToString()) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        for payload in payloads:
            assert _seal_of(payload) == self.seal
        return [Payload.FromString(payload.data) for payload in payloads]


CONVERTER = replace(DataConverter.default, payload_codec=Sealed())
NAMED = {"SAGAS_DATA_CONVERTER": f"{__name__}:CONVERTER"}


def make_converter() -> DataConverter:
    """Returns the converter, for a setting that names a callable."""
    return CONVERTER


@pytest.fixture(params=[True, False], ids=["attribute", "memo"])
async def client(server: str, request: pytest.FixtureRequest) -> Client:
    """A client that seals all payloads, memos included; search attributes cannot be sealed."""
    plugin = SagaPlugin(search_attributes=request.param)
    return await Client.connect(server, data_converter=CONVERTER, plugins=[plugin])


async def test_every_payload_is_sealed_for_its_own_activity_or_workflow(harness: WorkerHarness) -> None:
    """Messages, results, failures and summaries are sealed, also those of children and compensations."""
    harness.participants.when("pay", rejects())
    night = TripPlan(do=("hotel", "hotel"), name="night")

    trip = await harness.start_trip("flight", TripPlan(do=("car", night)), "pay")

    assert await harness.wait_for_ending(trip) == Ending("FAILED", "compensated", "sold_out")
    assert harness.participants.started[5:] == ["cancel-hotel", "cancel-hotel", "cancel-car", "cancel-flight"]
    asked = [
        (event.activity_task_scheduled_event_attributes, event.user_metadata.summary)
        async for event in trip.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    assert len(asked) == 6
    for activity, summary in asked:
        for message in activity.input.payloads:
            assert _seal_of(message) == f"{trip.id}:{activity.activity_id}"
        # Temporal's Web UI decodes a summary with the context of the workflow.
        assert _seal_of(summary) == trip.id


async def test_a_second_start_of_a_sealed_saga_finds_the_saga(harness: WorkerHarness) -> None:
    """The comparison uses the content under the seal of the saga."""
    trip = await harness.start_trip("hotel")

    async def again(*do: str) -> Handle:
        plan = TripPlan(do=do)
        return await start_saga(harness.client, TripSaga.run, plan, id=trip.id, task_queue=harness.task_queue)

    assert (await again("hotel")).id == trip.id
    with pytest.raises(DuplicateSagaError, match="other content"):
        await again("flight")
    await harness.wait_for_ending(trip)


async def test_operators_read_and_rescue_sealed_sagas(harness: WorkerHarness) -> None:
    """P7: pending compensations are read from the history, each payload with the right context."""
    operator = SagaClient(harness.client)
    trip = await harness.start_trip("flight", TripPlan(do=("hotel",), name="night"), "boss")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_STARTED)
    await operator.hold(trip.id, by="mia", because="let me look")

    timeline = await operator.show(trip.id)
    assert timeline.status == "held"
    assert [(wait.subject, wait.role) for wait in timeline.waits] == [("big-trip", "boss")]
    assert [verb.because for verb in timeline.audit_trail] == ["let me look"]
    await trip.terminate("by mistake")
    rescue = await operator.rescue(trip.id, by="mia", because="it was a mistake")

    assert rescue.pending == ("night:book-hotel", "book-flight")
    assert (
        await harness.wait_for_ending(harness.client.get_workflow_handle(rescue.workflow_id))
    ).saga == "compensated"
    assert harness.participants.started[2:] == ["cancel-hotel", "cancel-flight"]
    assert not (await operator.rescue(trip.id, by="tom", because="to be sure")).is_new

    async def is_listed() -> bool:
        found = await operator.list(status="compensated", query=f"WorkflowId = '{rescue.workflow_id}'")
        return [saga.status for saga in found] == ["compensated"]

    await until(is_listed)


# The cache of the worker does not matter to the command.
@pytest.mark.parametrize("harness", [1000], indirect=True, ids=["cached"])
async def test_the_command_reads_sealed_sagas(harness: WorkerHarness, server: str, tmp_path: Path) -> None:
    """The setting names a converter or a callable; without the setting, the command names the setting."""
    trip = await harness.start_trip("hotel", "boss")
    await harness.wait_for_event(trip, EventType.EVENT_TYPE_TIMER_STARTED)
    maker = {"SAGAS_DATA_CONVERTER": f"{__name__}:make_converter"}
    query = ("--query", f"WorkflowId = '{trip.id}'")

    held = await sagas(server, "hold", trip.id, "--because", "let me look", **NAMED)
    assert (held.code, held.out, held.err) == (0, f"{trip.id} is held\n", "")
    shown = await sagas(server, "show", trip.id, **maker)
    assert (shown.code, shown.err) == (0, "")
    assert "hold by mia: let me look" in shown.out
    await trip.terminate("by mistake")
    rescued = await sagas(server, "rescue", trip.id, "--because", "it was a mistake", **NAMED)
    assert rescued.out == f"{trip.id}: {trip.id}~rescue compensates book-hotel\n"
    await harness.wait_for_ending(harness.client.get_workflow_handle(f"{trip.id}~rescue"))
    listed = await sagas(server, "list", "--status", "terminated", *query, **NAMED)
    assert (listed.code, listed.err) == (0, "")
    blind = await sagas(server, "show", trip.id)
    assert (blind.code, blind.out, blind.err.count("\n")) == (1, "", 1)
    assert "connect with the data converter of the saga's workers" in blind.err

    kept = await sagas(server, "histories", "record", trip.id, "--to", str(tmp_path), **NAMED)
    assert (kept.code, kept.err) == (0, "")
    replay = (
        "histories",
        "replay",
        str(tmp_path),
        "--workflows",
        "tests.temporal.fixtures.trip_saga:TripSaga",
    )
    assert (await sagas(server, *replay, **NAMED)).out.endswith("1 history replayed\n")
    assert (await sagas(server, *replay)).code != 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "nothing",
            "'nothing' is not an import string: write MODULE:NAME, for example shop.encryption:converter",
        ),
        ("no_such_module:x", "module 'no_such_module' cannot be imported: ModuleNotFoundError: "),
        (
            "tests.temporal.plugin.test_payload_codec:gone",
            "module 'tests.temporal.plugin.test_payload_codec' has no attribute 'gone'",
        ),
        (
            "tests.temporal.plugin.test_payload_codec:NAMED",
            "neither a DataConverter nor a callable that returns a DataConverter, but dict",
        ),
        (
            "tests.temporal.plugin.test_payload_codec:PayloadCodec",
            "raised TypeError: Can't instantiate abstract class PayloadCodec",
        ),
    ],
)
async def test_a_name_of_no_converter_is_refused(name: str, sentence: str) -> None:
    """The command refuses the name with a readable message, before connecting to a server."""
    ended = await sagas("nowhere:1", "show", "order-7", SAGAS_DATA_CONVERTER=name)

    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(f"error: SAGAS_DATA_CONVERTER is {name!r}: ")
    assert sentence in ended.err


def _seal_of(payload: Payload) -> str:
    return payload.metadata["for"].decode()


async def test_outcome_of_a_sealed_saga_is_read(harness: WorkerHarness) -> None:
    """The status, the result of a child, and the failure are decoded for the right workflow."""
    trip = await harness.start_trip("hotel", TripPlan(do=("flight",)), "fail")
    child = SagaHandle.for_id(harness.client, f"{trip.id}/leg", TripSaga.run)

    assert await trip.outcome() == Compensated("Planned", reason=f"Planned: {PLANNED_FAILURE}")
    assert await child.outcome() == Completed(["flight"])
