"""The embedded Temporal server keeps its state, its promises and its neighbours in peace."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus

from tests.waiting import is_alive, until
from workers import (
    ChildProcess,
    EmbeddedTemporal,
    FolderInUseError,
    ProcessError,
    Settings,
    TemporalOptions,
    connect,
    find_running_server,
)

pytestmark = pytest.mark.usefixtures("temporal_program")


@pytest_asyncio.fixture
async def own(tmp_path: Path) -> AsyncIterator[EmbeddedTemporal]:
    """A server that the test may stop and kill."""
    async with EmbeddedTemporal(tmp_path) as server:
        yield server


async def start_workflow(server: EmbeddedTemporal, workflow_id: str) -> None:
    client = await Client.connect(server.address)
    await client.start_workflow("NobodyRunsIt", id=workflow_id, task_queue="nobody-polls-it")


async def status_of(server: EmbeddedTemporal, workflow_id: str) -> WorkflowExecutionStatus | None:
    client = await Client.connect(server.address)
    return (await client.get_workflow_handle(workflow_id).describe()).status


async def retention_of(server: EmbeddedTemporal) -> timedelta:
    client = await Client.connect(server.address)
    answer = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    return answer.config.workflow_execution_retention_ttl.ToTimedelta()


async def test_it_goes_on_after_a_crash_on_the_same_ports(own: EmbeddedTemporal) -> None:
    """A workflow that was started before a SIGKILL is there after it, and clients find it where it was."""
    await start_workflow(own, "survivor")
    addresses = (own.address, own.ui_url)

    own.kill()
    assert not own.process.is_running
    await own.restart()

    assert await status_of(own, "survivor") == WorkflowExecutionStatus.RUNNING
    assert (own.address, own.ui_url) == addresses


async def test_it_goes_on_after_a_stop(tmp_path: Path) -> None:
    """A new server on the same folder has the workflows and the retention of the old one."""
    async with EmbeddedTemporal(tmp_path) as first:
        await start_workflow(first, "survivor")
    assert not first.process.is_running

    async with EmbeddedTemporal(tmp_path) as second:
        assert await status_of(second, "survivor") == WorkflowExecutionStatus.RUNNING
        assert await retention_of(second) == timedelta(days=90)


async def test_it_keeps_closed_workflows_as_long_as_it_is_told(tmp_path: Path) -> None:
    """The retention is a choice, and a later choice counts."""
    async with EmbeddedTemporal(tmp_path, options=TemporalOptions(retention=timedelta(days=3))) as server:
        assert await retention_of(server) == timedelta(days=3)

    async with EmbeddedTemporal(tmp_path, options=TemporalOptions(retention=timedelta(days=4))) as server:
        assert await retention_of(server) == timedelta(days=4)


async def test_it_knows_the_search_attributes_of_sagas(temporal: EmbeddedTemporal) -> None:
    """An unregistered attribute would wedge every saga."""
    client = await Client.connect(temporal.address)
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="default")
    )

    assert "SagaStatus" in known.custom_attributes


async def test_taken_ports_are_left_alone(tmp_path: Path) -> None:
    """Where the usual ports are in use, free ones are found."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        options = TemporalOptions(port=one.getsockname()[1], ui_port=two.getsockname()[1])
        async with EmbeddedTemporal(tmp_path, options=options) as server:
            assert server.address != f"127.0.0.1:{options.port}"
            assert server.ui_url != f"http://127.0.0.1:{options.ui_port}"
            assert await retention_of(server) == timedelta(days=90), "it answers there"


async def test_two_at_once_do_not_clash(tmp_path: Path) -> None:
    """Two projects that want the same ports at the same moment get one server each."""
    one, two = EmbeddedTemporal(tmp_path / "one"), EmbeddedTemporal(tmp_path / "two")
    async with asyncio.TaskGroup() as both:
        both.create_task(one.start())
        both.create_task(two.start())
    try:
        assert one.address != two.address
        await start_workflow(one, "mine")
        await start_workflow(two, "mine")
    finally:
        await one.stop()
        await two.stop()


async def test_a_folder_in_use_is_refused(own: EmbeddedTemporal) -> None:
    """Two servers on one database would destroy it; the first one goes on undisturbed."""
    with pytest.raises(FolderInUseError, match="stop that one, or choose another folder"):
        await EmbeddedTemporal(own.folder).start()

    assert own.process.is_running
    found = find_running_server(own.folder)
    assert found is not None
    assert found.address == own.address


async def test_others_find_it_while_it_runs(tmp_path: Path) -> None:
    """The address stands in the data folder, and only as long as it is true."""
    settings = Settings(data_folder=tmp_path)
    async with EmbeddedTemporal(tmp_path) as server:
        client = await connect(settings)
        assert client.service_client.config.target_host == server.address

    assert find_running_server(tmp_path) is None
    assert not (tmp_path / "temporal.json").exists()


async def test_the_configuration_of_temporal_comes_first(
    temporal: EmbeddedTemporal, own: EmbeddedTemporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names a server means it, whatever runs in the data folder."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)

    client = await connect(Settings(data_folder=own.folder))

    assert client.service_client.config.target_host == temporal.address


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The end of the server's own log is in the error, and the folder is free again."""
    (tmp_path / "temporal.db").mkdir()
    server = EmbeddedTemporal(tmp_path)

    with pytest.raises(ProcessError, match=r"the Temporal server exited with code 1 .*\n(.*\n)*.*database"):
        await server.start()

    assert find_running_server(tmp_path) is None
    (tmp_path / "temporal.db").rmdir()
    async with EmbeddedTemporal(tmp_path):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
async def test_nothing_is_left_of_it_when_its_parent_is_killed(tmp_path: Path) -> None:
    """The server goes with its parent, and the next one may have the folder at once."""
    parent = ChildProcess(
        [sys.executable, "-m", "workers", "dev", "--no-broker", "--data", str(tmp_path / "data")],
        name="the parent",
        log=tmp_path / "parent.log",
    )
    parent.start()
    await until(lambda: "Ready" in parent.last_log_lines())
    found = find_running_server(tmp_path / "data")
    assert found is not None
    assert is_alive(found.pid)

    parent.kill()
    async with EmbeddedTemporal(tmp_path / "data"):
        assert not is_alive(found.pid), "the folder was free only when the old server was gone"
