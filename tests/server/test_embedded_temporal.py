"""The embedded Temporal server keeps its state, avoids what is in use, and leaves no process behind."""

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
    DataFolderInUseError,
    EmbeddedTemporal,
    ProcessError,
    Settings,
    TemporalOptions,
    connect,
)
from workers._servers.temporal_server import find_running_temporal

pytestmark = pytest.mark.usefixtures("temporal_program")


@pytest_asyncio.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[EmbeddedTemporal]:
    """A server that the test may stop and kill."""
    async with EmbeddedTemporal(tmp_path) as server:
        yield server


async def start_workflow(server: EmbeddedTemporal, workflow_id: str) -> None:
    client = await Client.connect(server.address)
    await client.start_workflow("UnknownWorkflow", id=workflow_id, task_queue="unpolled")


async def status_of(server: EmbeddedTemporal, workflow_id: str) -> WorkflowExecutionStatus | None:
    client = await Client.connect(server.address)
    return (await client.get_workflow_handle(workflow_id).describe()).status


async def retention_of(server: EmbeddedTemporal) -> timedelta:
    client = await Client.connect(server.address)
    answer = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    return answer.config.workflow_execution_retention_ttl.ToTimedelta()


async def test_a_restart_after_a_crash_keeps_state_and_ports(fresh: EmbeddedTemporal) -> None:
    """A workflow that was started before SIGKILL exists afterwards, at the same address."""
    await start_workflow(fresh, "survivor")
    addresses = (fresh.address, fresh.ui_url)

    fresh.kill()
    assert not fresh.process.is_running
    await fresh.restart()

    assert await status_of(fresh, "survivor") == WorkflowExecutionStatus.RUNNING
    assert (fresh.address, fresh.ui_url) == addresses


async def test_a_new_server_on_the_folder_keeps_the_state(tmp_path: Path) -> None:
    """The new server has the workflows and the retention of the stopped server."""
    async with EmbeddedTemporal(tmp_path) as first:
        await start_workflow(first, "survivor")
    assert not first.process.is_running

    async with EmbeddedTemporal(tmp_path) as second:
        assert await status_of(second, "survivor") == WorkflowExecutionStatus.RUNNING
        assert await retention_of(second) == timedelta(days=90)


async def test_the_retention_is_configurable(tmp_path: Path) -> None:
    """A later start changes the retention."""
    async with EmbeddedTemporal(tmp_path, options=TemporalOptions(retention=timedelta(days=3))) as server:
        assert await retention_of(server) == timedelta(days=3)

    async with EmbeddedTemporal(tmp_path, options=TemporalOptions(retention=timedelta(days=4))) as server:
        assert await retention_of(server) == timedelta(days=4)


async def test_the_search_attributes_of_sagas_are_registered(temporal: EmbeddedTemporal) -> None:
    """Writing an unregistered search attribute fails every workflow task."""
    client = await Client.connect(temporal.address)
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="default")
    )

    assert "SagaStatus" in known.custom_attributes


async def test_ports_in_use_are_replaced_by_free_ports(tmp_path: Path) -> None:
    """Another program listens on the preferred ports."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        options = TemporalOptions(port=one.getsockname()[1], ui_port=two.getsockname()[1])
        async with EmbeddedTemporal(tmp_path, options=options) as server:
            assert server.address != f"127.0.0.1:{options.port}"
            assert server.ui_url != f"http://127.0.0.1:{options.ui_port}"
            assert await retention_of(server) == timedelta(days=90), "the server answers at the new port"


async def test_a_replaced_port_is_kept_for_later_starts(tmp_path: Path) -> None:
    """An exported address stays valid when the preferred port is free again, until the file is deleted."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        options = TemporalOptions(port=other.getsockname()[1], ui_port=0)
        async with EmbeddedTemporal(tmp_path, options=options) as server:
            address = server.address
            port = int(address.rpartition(":")[2])
            assert dict(server.replaced_ports) == {options.port: port}

    async with EmbeddedTemporal(tmp_path, options=options) as server:
        assert server.address == address
    server.ports_file.unlink()
    async with EmbeddedTemporal(tmp_path, options=options) as server:
        assert server.address == f"127.0.0.1:{options.port}"
        assert dict(server.replaced_ports) == {}
        assert not server.ports_file.exists()


async def test_an_unreadable_file_of_ports_is_ignored(tmp_path: Path) -> None:
    """The server starts on its preferred ports."""
    (tmp_path / "temporal-ports.json").write_text("{")
    async with EmbeddedTemporal(tmp_path, options=TemporalOptions(port=0, ui_port=0)) as server:
        assert not server.ports_file.exists()


async def test_two_servers_can_start_at_once(tmp_path: Path) -> None:
    """Two projects with the same preferred ports get a server each."""
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


async def test_a_folder_in_use_is_refused(fresh: EmbeddedTemporal) -> None:
    """Two servers would corrupt the database; the first server is undisturbed."""
    with pytest.raises(DataFolderInUseError, match="stop the other server, or choose another folder"):
        await EmbeddedTemporal(fresh.folder).start()

    assert fresh.process.is_running
    found = find_running_temporal(fresh.folder)
    assert found is not None
    assert found.address == fresh.address


async def test_the_address_is_published_while_the_server_runs(tmp_path: Path) -> None:
    """The address file is deleted at the stop, and ignored after a crash."""
    settings = Settings(data_folder=tmp_path)
    async with EmbeddedTemporal(tmp_path) as server:
        client = await connect(settings)
        assert client.service_client.config.target_host == server.address

    assert find_running_temporal(tmp_path) is None
    assert not (tmp_path / "temporal.json").exists()


async def test_temporals_own_configuration_precedes_the_embedded_server(
    temporal: EmbeddedTemporal, fresh: EmbeddedTemporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configured address is used although a server runs on the data folder."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)

    client = await connect(Settings(data_folder=fresh.folder))

    assert client.service_client.config.target_host == temporal.address


async def test_a_failed_start_shows_the_last_log_lines(tmp_path: Path) -> None:
    """The folder is free afterwards."""
    (tmp_path / "temporal.db").mkdir()
    server = EmbeddedTemporal(tmp_path)

    with pytest.raises(ProcessError, match=r"the Temporal server exited with code 1 .*\n(.*\n)*.*database"):
        await server.start()

    assert find_running_temporal(tmp_path) is None
    (tmp_path / "temporal.db").rmdir()
    async with EmbeddedTemporal(tmp_path):
        pass


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux signals the death of a parent to its children"
)
async def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    """The next server can use the folder at once."""
    parent = ChildProcess(
        [sys.executable, "-m", "workers", "dev", "--no-broker", "--data", str(tmp_path / "data")],
        name="the parent",
        log=tmp_path / "parent.log",
    )
    parent.start()
    await until(lambda: "Ready" in parent.last_log_lines())
    found = find_running_temporal(tmp_path / "data")
    assert found is not None
    assert is_alive(found.pid)

    parent.kill()
    async with EmbeddedTemporal(tmp_path / "data"):
        assert not is_alive(found.pid), "the folder was free only when the old server was gone"
