"""The embedded RabbitMQ node keeps its state and its secrets, and leaves no process behind."""

import asyncio
import re
import socket
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from tests.waiting import is_alive, until
from workers import (
    ChildProcess,
    ConfigurationError,
    DataFolderInUseError,
    EmbeddedRabbitMQ,
    ProcessError,
    Settings,
    find_rabbitmq_broker,
)
from workers._servers.rabbitmq_node import find_running_rabbitmq

pytestmark = pytest.mark.usefixtures("rabbitmq_program")
linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="looks into /proc, and only Linux ends orphans"
)

PARENT = """
import asyncio, sys
from pathlib import Path
from workers import EmbeddedRabbitMQ
async def main():
    async with EmbeddedRabbitMQ(Path(sys.argv[1]), port=0):
        print("ready", flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


@asynccontextmanager
async def channel_to(url: str) -> AsyncIterator[Any]:
    connection = await aio_pika.connect(url, timeout=20)
    try:
        yield await connection.channel()
    finally:
        await connection.close()


async def publish(node: EmbeddedRabbitMQ, text: str) -> None:
    """Publishes a persistent message, and returns after the confirmation."""
    async with channel_to(node.url) as channel:
        await channel.declare_queue("messages", durable=True)
        message = aio_pika.Message(text.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key="messages")


async def waiting_in(node: EmbeddedRabbitMQ) -> int:
    async with channel_to(node.url) as channel:
        queue = await channel.declare_queue("messages", durable=True, passive=True)
        count: int = queue.declaration_result.message_count
        return count


def processes_of(folder: Path) -> dict[int, str]:
    """The living processes of a data folder: the node, epmd, and their descendants."""
    found: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"HOME={folder}/rabbitmq/home".encode() in environment and is_alive(int(process.name)):
            found[int(process.name)] = command
    return found


SOCKET = re.compile(r"socket:\[(\d+)\]")


def open_files(pid: int) -> Iterator[str]:
    """The open files of a process; files that are closed meanwhile are left out."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(link.readlink())


def listening_addresses(pids: set[int]) -> set[str]:
    """The addresses on which processes listen, as the kernel writes them."""
    inodes = {match[1] for pid in pids for match in map(SOCKET.match, open_files(pid)) if match}
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/net/{table}").read_text().splitlines()
    ]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}


async def test_a_restart_after_a_crash_keeps_messages_and_ports(tmp_path: Path) -> None:
    """A message that was confirmed before SIGKILL exists afterwards, at the same URL."""
    async with EmbeddedRabbitMQ(tmp_path, port=0) as node:
        await publish(node, "survivor")
        url = node.url

        node.kill()
        assert not node.process.is_running
        await node.restart()

        assert node.url == url
        assert await waiting_in(node) == 1


async def test_a_new_node_on_the_folder_keeps_the_state(tmp_path: Path) -> None:
    """The new node has the messages of the stopped node, which leaves nothing else behind.

    The password file is deleted in between: clients get access with a new password.
    """
    async with EmbeddedRabbitMQ(tmp_path, port=0) as first:
        await publish(first, "survivor")
        assert find_running_rabbitmq(tmp_path) is not None
    assert first.process.exit_code == 0
    assert processes_of(tmp_path) == {}
    assert find_rabbitmq_broker(Settings(data_folder=tmp_path)) is None
    assert not (tmp_path / "rabbitmq.json").exists()

    (tmp_path / "rabbitmq" / "password").unlink()
    async with EmbeddedRabbitMQ(tmp_path, port=0) as second:
        assert await waiting_in(second) == 1


@linux_only
async def test_the_node_listens_on_loopback_only(rabbit: EmbeddedRabbitMQ) -> None:
    """Neither the node nor epmd can be reached from another machine."""
    processes = processes_of(rabbit.folder)

    assert any("epmd" in command for command in processes.values())
    assert rabbit.process.pid in processes
    assert listening_addresses(set(processes)) == {"0100007F", "00000000000000000000000001000000"}


async def test_only_the_owner_gets_access(rabbit: EmbeddedRabbitMQ) -> None:
    """There is no guest, and no other user of this machine can read the password."""
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(f"amqp://guest:guest@{rabbit.address}/")

    password = rabbit.url.removeprefix("amqp://sagas:").partition("@")[0]
    assert len(password) >= 32
    files = [path for path in rabbit.folder.rglob("*") if path.is_file()]
    holding = [path for path in files if password.encode() in path.read_bytes()]
    assert sorted(path.name for path in holding) == ["password", "rabbitmq.json"]
    for path in (*holding, rabbit.folder / "rabbitmq" / "home" / ".erlang.cookie"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert not any(password in command for command in processes_of(rabbit.folder).values())


async def test_two_nodes_can_start_at_once(tmp_path: Path) -> None:
    """Two projects with the same preferred port get a node each, although a third program has the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        one = EmbeddedRabbitMQ(tmp_path / "one", port=port)
        two = EmbeddedRabbitMQ(tmp_path / "and two", port=port)
        try:
            await asyncio.gather(one.start(), two.start())
            assert len({one.address, two.address, f"127.0.0.1:{port}"}) == 3
            await publish(one, "message")
            await publish(two, "message")
            assert (await waiting_in(one), await waiting_in(two)) == (1, 1)
        finally:
            await one.stop()
            await two.stop()


@linux_only
async def test_a_port_that_is_taken_during_the_boot_is_replaced(tmp_path: Path) -> None:
    """A foreign program takes the port while the node boots; the node then starts on another port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    node = EmbeddedRabbitMQ(tmp_path, port=port)
    starting = asyncio.create_task(node.start())
    await until(lambda: any("beam" in command for command in processes_of(tmp_path).values()))
    with socket.create_server(("127.0.0.1", port)):
        await starting
        try:
            assert node.address != f"127.0.0.1:{port}"
            await publish(node, "here")
        finally:
            await node.stop()


async def test_a_folder_in_use_is_refused(rabbit: EmbeddedRabbitMQ) -> None:
    """Two nodes would corrupt the database; the first node is undisturbed and found."""
    second = EmbeddedRabbitMQ(rabbit.folder, port=0)
    with pytest.raises(DataFolderInUseError, match="stop the other server, or choose another folder"):
        await second.start()
    await second.stop()

    assert rabbit.process.is_running
    found = find_rabbitmq_broker(Settings(data_folder=rabbit.folder))
    assert found is not None
    assert (found.url, found.is_embedded) == (rabbit.url, True)
    assert found.address == f"amqp://sagas@{rabbit.address}/"


@linux_only
async def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    """Node and epmd end, and the next node can use the folder."""
    parent = ChildProcess(
        [sys.executable, "-c", PARENT, str(tmp_path)], name="the parent", log=tmp_path / "parent.log"
    )
    parent.start()
    await until(lambda: "ready" in parent.last_log_lines(), within=90)
    assert len(processes_of(tmp_path)) > 2

    parent.kill()

    async with EmbeddedRabbitMQ(tmp_path, port=0):
        pass
    await until(lambda: processes_of(tmp_path) == {})


@linux_only
async def test_no_process_outlives_a_parent_killed_during_the_boot(tmp_path: Path) -> None:
    """A booting node must not start an epmd daemon, which would never end."""
    parent = ChildProcess(
        [sys.executable, "-c", PARENT, str(tmp_path)], name="the parent", log=tmp_path / "parent.log"
    )
    parent.start()
    await until(lambda: any("beam" in command for command in processes_of(tmp_path).values()))

    parent.kill()

    await until(lambda: processes_of(tmp_path) == {}, within=60)


async def test_a_failed_start_shows_the_last_log_lines(tmp_path: Path) -> None:
    """The folder is free afterwards."""
    (tmp_path / "rabbitmq").mkdir()
    (tmp_path / "rabbitmq" / "advanced.config").write_text("this is not Erlang")

    with pytest.raises(ProcessError, match="the RabbitMQ node exited with code"):
        await EmbeddedRabbitMQ(tmp_path, port=0).start()

    assert processes_of(tmp_path) == {}
    assert find_running_rabbitmq(tmp_path) is None


async def test_a_folder_with_an_apostrophe_is_refused(tmp_path: Path) -> None:
    """RabbitMQ would wait for ever."""
    with pytest.raises(ConfigurationError, match="without apostrophe"):
        await EmbeddedRabbitMQ(tmp_path / "it's").start()
