"""The embedded RabbitMQ node keeps its state, its secrets, its promises and its neighbours in peace."""

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
    EmbeddedRabbit,
    FolderInUseError,
    ProcessError,
    Settings,
    find_broker,
    find_running_broker,
)

pytestmark = pytest.mark.usefixtures("rabbitmq_program")
linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="looks into /proc, and only Linux ends orphans"
)

PARENT = """
import asyncio, sys
from pathlib import Path
from workers import EmbeddedRabbit
async def main():
    async with EmbeddedRabbit(Path(sys.argv[1]), port=0):
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


async def publish(node: EmbeddedRabbit, text: str) -> None:
    """Returns when the node has confirmed the message, which then is on the disk."""
    async with channel_to(node.url) as channel:
        await channel.declare_queue("letters", durable=True)
        message = aio_pika.Message(text.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key="letters")


async def waiting_in(node: EmbeddedRabbit) -> int:
    async with channel_to(node.url) as channel:
        queue = await channel.declare_queue("letters", durable=True, passive=True)
        count: int = queue.declaration_result.message_count
        return count


def processes_of(folder: Path) -> dict[int, str]:
    """The living processes that know a data folder: the node, its epmd, and whatever they started."""
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
    """What a process has open; what it closes in this very moment is left out."""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(link.readlink())


def listening_addresses(pids: set[int]) -> set[str]:
    """The addresses that some processes listen on, as the kernel writes them."""
    inodes = {match[1] for pid in pids for match in map(SOCKET.match, open_files(pid)) if match}
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/net/{table}").read_text().splitlines()
    ]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}


async def test_it_goes_on_after_a_crash_on_the_same_ports(tmp_path: Path) -> None:
    """A message that was confirmed before a SIGKILL is there after it, and clients find it where it was."""
    async with EmbeddedRabbit(tmp_path, port=0) as node:
        await publish(node, "survivor")
        url = node.url

        node.kill()
        assert not node.process.is_running
        await node.restart()

        assert node.url == url
        assert await waiting_in(node) == 1


async def test_it_goes_on_after_a_stop(tmp_path: Path) -> None:
    """A new node on the same folder has the messages of the old one; nothing else is left of that one.

    The password is lost in between: the new one that is made for it lets clients in.
    """
    async with EmbeddedRabbit(tmp_path, port=0) as first:
        await publish(first, "survivor")
        assert find_running_broker(tmp_path) is not None
    assert first.process.exit_code == 0
    assert processes_of(tmp_path) == {}
    assert find_broker(Settings(data_folder=tmp_path)) is None
    assert not (tmp_path / "rabbitmq.json").exists()

    (tmp_path / "rabbitmq" / "password").unlink()
    async with EmbeddedRabbit(tmp_path, port=0) as second:
        assert await waiting_in(second) == 1


@linux_only
async def test_it_listens_on_loopback_only(rabbit: EmbeddedRabbit) -> None:
    """Neither the node nor its epmd can be reached from another machine."""
    mine = processes_of(rabbit.folder)

    assert any("epmd" in command for command in mine.values())
    assert rabbit.process.pid in mine
    assert listening_addresses(set(mine)) == {"0100007F", "00000000000000000000000001000000"}


async def test_nobody_else_gets_in(rabbit: EmbeddedRabbit) -> None:
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


async def test_two_at_once_do_not_clash(tmp_path: Path) -> None:
    """Two projects that want the same port, which a third program has, get one node each."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        one = EmbeddedRabbit(tmp_path / "one", port=port)
        two = EmbeddedRabbit(tmp_path / "and two", port=port)
        try:
            await asyncio.gather(one.start(), two.start())
            assert len({one.address, two.address, f"127.0.0.1:{port}"}) == 3
            await publish(one, "mine")
            await publish(two, "mine")
            assert (await waiting_in(one), await waiting_in(two)) == (1, 1)
        finally:
            await one.stop()
            await two.stop()


@linux_only
async def test_a_port_that_is_taken_in_the_very_moment_is_given_up(tmp_path: Path) -> None:
    """A foreign program may take the port while the node boots; the node then starts on another one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    node = EmbeddedRabbit(tmp_path, port=port)
    starting = asyncio.create_task(node.start())
    await until(lambda: any("beam" in command for command in processes_of(tmp_path).values()))
    with socket.create_server(("127.0.0.1", port)):
        await starting
        try:
            assert node.address != f"127.0.0.1:{port}"
            await publish(node, "here")
        finally:
            await node.stop()


async def test_a_folder_in_use_is_refused(rabbit: EmbeddedRabbit) -> None:
    """Two nodes on one database would destroy it; the first one goes on undisturbed, and is found."""
    second = EmbeddedRabbit(rabbit.folder, port=0)
    with pytest.raises(FolderInUseError, match="stop that one, or choose another folder"):
        await second.start()
    await second.stop()

    assert rabbit.process.is_running
    found = find_broker(Settings(data_folder=rabbit.folder))
    assert found is not None
    assert (found.url, found.is_embedded) == (rabbit.url, True)
    assert found.address == f"amqp://sagas@{rabbit.address}/"


@linux_only
async def test_nothing_is_left_of_it_when_its_parent_is_killed(tmp_path: Path) -> None:
    """The node and its epmd go with their parent, and the next one may have the folder."""
    parent = ChildProcess(
        [sys.executable, "-c", PARENT, str(tmp_path)], name="the parent", log=tmp_path / "parent.log"
    )
    parent.start()
    await until(lambda: "ready" in parent.last_log_lines(), within=90)
    assert len(processes_of(tmp_path)) > 2

    parent.kill()

    async with EmbeddedRabbit(tmp_path, port=0):
        pass
    await until(lambda: processes_of(tmp_path) == {})


@linux_only
async def test_nothing_is_left_of_a_start_that_was_killed(tmp_path: Path) -> None:
    """A node that still boots when its parent dies starts no epmd of its own, which would stay for ever."""
    parent = ChildProcess(
        [sys.executable, "-c", PARENT, str(tmp_path)], name="the parent", log=tmp_path / "parent.log"
    )
    parent.start()
    await until(lambda: any("beam" in command for command in processes_of(tmp_path).values()))

    parent.kill()

    await until(lambda: processes_of(tmp_path) == {}, within=60)


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The end of the node's own log is in the error, and the folder is free again."""
    (tmp_path / "rabbitmq").mkdir()
    (tmp_path / "rabbitmq" / "advanced.config").write_text("this is not Erlang")

    with pytest.raises(ProcessError, match="the RabbitMQ node exited with code"):
        await EmbeddedRabbit(tmp_path, port=0).start()

    assert processes_of(tmp_path) == {}
    assert find_running_broker(tmp_path) is None


async def test_a_folder_that_rabbitmq_hangs_on_is_refused(tmp_path: Path) -> None:
    """One sentence instead of a minute of silence."""
    with pytest.raises(ConfigurationError, match="without apostrophe"):
        await EmbeddedRabbit(tmp_path / "it's").start()
