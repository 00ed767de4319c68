"""A worker process polls, reports polling, shuts down gracefully, and ends with an exit code."""

import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client, WorkflowHandle

from sagas import SagaPlugin
from tests.waiting import until
from workers import ChildProcess, ConfigurationError, EmbeddedTemporal, TemporalOptions
from workers._search_attributes import Registration, register_search_attributes, require_search_attributes

from .worker_program import RunsOneActivity


@asynccontextmanager
async def worker(
    temporal: EmbeddedTemporal,
    task_queue: str,
    folder: Path,
    *,
    graceful_shutdown: str = "30",
    namespace: str = "default",
) -> AsyncGenerator[ChildProcess]:
    """A polling worker process."""
    program = [sys.executable, "-m", "tests.server.worker_program"]
    command = [*program, temporal.address, task_queue, graceful_shutdown, namespace]
    async with ChildProcess(command, name="the worker", log=folder / "worker.log") as process:
        await until(lambda: "polls task queue" in process.last_log_lines() or not process.is_running)
        yield process


async def start_activity(
    client: Client, name: str, task_queue: str, file: Path
) -> WorkflowHandle[RunsOneActivity, None]:
    """Starts a workflow, and waits for a running activity."""
    handle = await client.start_workflow(
        RunsOneActivity.run, args=[name, str(file)], id=task_queue, task_queue=task_queue
    )

    async def is_running() -> bool:
        pending = (await handle.describe()).raw_description.pending_activities
        return any(one.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED for one in pending)

    await until(is_running)
    return handle


async def results_in(handle: WorkflowHandle[RunsOneActivity, None]) -> list[bytes]:
    return [
        event.activity_task_completed_event_attributes.result.payloads[0].data
        async for event in handle.fetch_history_events()
        if event.HasField("activity_task_completed_event_attributes")
    ]


async def test_a_worker_reports_its_task_queue_and_ends_on_sigterm(
    temporal: EmbeddedTemporal, tmp_path: Path
) -> None:
    """The output is one line, and the exit code is 0."""
    async with worker(temporal, "idle", tmp_path) as process:
        assert process.last_log_lines() == (
            f"worker polls task queue 'idle' of namespace 'default' at {temporal.address}"
        )
        assert await process.stop() == 0


async def test_a_running_activity_finishes_during_the_shutdown(
    temporal: EmbeddedTemporal, client: Client, tmp_path: Path
) -> None:
    """An activity keeps the result if the activity ends within the graceful shutdown."""
    async with worker(temporal, "finishes", tmp_path) as process:
        release = tmp_path / "release"
        handle = await start_activity(client, "finishes_when_released", "finishes", release)

        # The server counts the activity as running earlier; a stop in between would not reach the activity.
        await until(lambda: "running" in process.last_log_lines(1000))
        os.kill(process.pid, signal.SIGTERM)
        await until(lambda: "draining" in process.last_log_lines(1000))
        release.touch()

        assert await process.wait() == 0

    assert await results_in(handle) == [b'"finished"']


async def test_an_endless_activity_does_not_delay_the_shutdown(
    temporal: EmbeddedTemporal, client: Client, tmp_path: Path
) -> None:
    """The activity is cancelled, and the exit code is 0."""
    async with worker(temporal, "endless", tmp_path, graceful_shutdown="0.5") as process:
        handle = await start_activity(client, "never_finishes", "endless", tmp_path)

        assert await process.stop() == 0
        assert "left to their timeouts" not in process.last_log_lines(1000)

    assert await results_in(handle) == []


async def test_an_unknown_namespace_is_one_sentence(temporal: EmbeddedTemporal, tmp_path: Path) -> None:
    """The error says how to continue, and the exit code is 1."""
    async with worker(temporal, "lost", tmp_path, namespace="no-such-namespace") as process:
        assert await process.wait() == 1

    # Temporal's client may still log while shutting down.
    (message,) = (line for line in process.last_log_lines(1000).splitlines() if line.startswith("error: "))
    assert message.startswith(
        f"error: the Temporal server at '{temporal.address}' does not let a worker poll"
    )
    assert "no-such-namespace" in message
    assert "Traceback" not in process.last_log_lines(1000)


async def test_a_missing_search_attribute_is_registered(tmp_path: Path, temporal_program: None) -> None:
    """A namespace without the search attributes gets them."""
    async with EmbeddedTemporal(tmp_path, options=TemporalOptions(search_attributes={})) as server:
        client = await Client.connect(server.address)

        wanted = {"SagaStatus": "Keyword", "SagaSteps": "KeywordList"}
        assert await register_search_attributes(client, wanted) == Registration()

        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace="default")
        )
        assert set(wanted) <= set(known.custom_attributes)


async def test_a_search_attribute_that_cannot_be_registered_refuses_the_worker(
    temporal: EmbeddedTemporal,
) -> None:
    """The worker fails at the start, instead of every workflow task at the first compensation."""
    client = await Client.connect(temporal.address, namespace="no-such-namespace", plugins=[SagaPlugin()])

    with pytest.raises(
        ConfigurationError,
        match=r"SagaStatus \(Keyword\).*no-such-namespace.*not found.*search_attributes=False",
    ):
        await require_search_attributes(client)


@pytest.mark.parametrize(
    ("registered", "reason"),
    [
        (
            {"SagaStatus": "Int"},
            r"SagaStatus of namespace 'default' has type Int, and sagas write Keyword.*remove",
        ),
        ({f"Own{n}": "Keyword" for n in range(10)}, r"no search attribute SagaStatus.*\(.*10.*Keyword"),
    ],
    ids=["other type", "ten keywords"],
)
async def test_a_worker_names_the_reason_of_an_unusable_search_attribute(
    tmp_path: Path, temporal_program: None, registered: dict[str, str], reason: str
) -> None:
    """An attribute of another type would fail every workflow task; the refusal has the server's reason."""
    async with EmbeddedTemporal(tmp_path, options=TemporalOptions(search_attributes=registered)) as server:
        client = await Client.connect(server.address, plugins=[SagaPlugin()])

        with pytest.raises(ConfigurationError, match=reason):
            await require_search_attributes(client)


async def test_a_plugin_without_search_attributes_needs_no_registration(temporal: EmbeddedTemporal) -> None:
    """`search_attributes=False` skips the check."""
    client = await Client.connect(
        temporal.address, namespace="no-such-namespace", plugins=[SagaPlugin(search_attributes=False)]
    )

    await require_search_attributes(client)
