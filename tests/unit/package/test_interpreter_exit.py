"""A process with a client or a worker exits after the threads of Temporal's client; no server is needed."""

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, threading, time
from temporalio.client import Client
from temporalio.worker import WorkerConfig
from sagas import SagaPlugin

def release_after_main():
    threading.main_thread().join()
    time.sleep(0.05)
    print("released", flush=True)

async def main():
    %s

threading.Thread(target=release_after_main, daemon=True).start()
asyncio.run(main())
"""


CLIENT = 'await Client.connect("localhost:1", lazy=True, plugins=[SagaPlugin(), SagaPlugin()])'
WORKER = """client = await Client.connect("localhost:1", lazy=True)
    for _ in range(2):
        SagaPlugin().configure_worker(WorkerConfig(client=client, workflows=[]))"""


@pytest.mark.parametrize("main", [CLIENT, WORKER], ids=["client", "worker"])
def test_threads_may_release_their_objects_after_the_main_function(main: str) -> None:
    """Without the delay, a third of the short processes abort with 134 or SIGSEGV."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM % main], capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "released\n", "")
