"""The code, the metrics and the queries of docs/telemetry.md, on a real server."""

import ast
import asyncio
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import indent
from typing import Any
from uuid import uuid4

import httpx
import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.worker import Worker

from sagas import RejectedError, Saga, SagaPlugin, action, start_saga
from sagas.operator import SagaClient
from tests.pages import DOCS
from tests.waiting import until
from workers import EmbeddedTemporal, PortLease
from workers._search_attributes import register_search_attributes
from workers._servers.temporal_server import find_temporal_program

PAGE = (DOCS / "telemetry.md").read_text()
TRACES, METRICS, OWN_RUNTIME = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
METRIC = re.compile(r"`(saga_\w+)(?:\{(\w+)\})?`")
TABLE = [found for line in PAGE.splitlines() if line.startswith("| `saga_") for found in METRIC.findall(line)]


@activity.defn
async def book(name: str) -> None: ...


@activity.defn
async def cancel(name: str) -> None:
    """Fails twice, then succeeds."""
    if activity.info().activity_id not in CALLED:
        CALLED.add(activity.info().activity_id)
        raise RejectedError("closed", "the office is closed")


@activity.defn
async def pay(name: str) -> None:
    raise RejectedError("no_money", "the account is empty")


CALLED = set[str]()
STEP, PIVOT = action(book).compensated_by(cancel), action(pay)


@workflow.defn
class StuckSaga:
    """Gets stuck, and completes its compensation after a retry."""

    @workflow.run
    async def run(self, name: str) -> None:
        async with Saga() as saga:
            await saga.step(STEP, name)
            await saga.pivot(PIVOT, name)


async def run_block(code: str) -> Client:
    """Runs code of the page, and returns the client that the code creates."""
    names: dict[str, Any] = {}
    await eval(compile(code, "telemetry.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    client: Client = names["client"]
    return client


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """The address for metrics."""
    lease = PortLease(0)
    yield f"127.0.0.1:{lease.port}"
    lease.release()


@asynccontextmanager
async def stuck(client: Client) -> AsyncIterator[WorkflowHandle[Any, Any]]:
    """A stuck saga of a worker with metrics; the saga ends after the test."""
    CALLED.clear()
    queue = f"telemetry-{uuid4().hex[:8]}"
    async with Worker(client, task_queue=queue, workflows=[StuckSaga], activities=[book, cancel, pay]):
        saga = await start_saga(client, StuckSaga.run, "x", id=queue, task_queue=queue)
        operator = SagaClient(client)

        async def is_stuck() -> bool:
            return (await operator.show(saga.id)).status == "stuck"

        await until(is_stuck)
        yield saga
        await operator.retry(saga.id, by="mia", because="the office is open")
        with pytest.raises(WorkflowFailureError):
            await saga.result()


@pytest.mark.parametrize("code", [METRICS, OWN_RUNTIME], ids=["metrics_runtime", "own runtime"])
async def test_a_worker_offers_every_metric_of_the_page(
    temporal: EmbeddedTemporal, address: str, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """Names and attributes match the page, no metric has an id, and the buckets are long enough."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.address)
    monkeypatch.setenv("SAGAS_METRICS", address)
    client = await run_block(
        code.replace("localhost:7233", temporal.address).replace("127.0.0.1:9464", address)
    )
    await register_search_attributes(client)

    async with stuck(client) as saga:
        saga_id = saga.id

    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://{address}/metrics")).text
    offered = [line for line in text.splitlines() if line.startswith("saga_")]
    assert {name.removesuffix("_seconds") for name, _ in TABLE} == {
        re.sub(r"(_seconds)?_(bucket|sum|count)$", "", line.partition("{")[0]) for line in offered
    }
    for name, attribute in TABLE:
        (line, *_) = [line for line in offered if line.startswith((f"{name}{{", f"{name}_sum{{"))]
        labels = set(re.findall(r'(\w+)="', line)) - {"service_name"}
        assert labels == {"namespace", "task_queue", "workflow_type", attribute} - {""}
    assert not [line for line in offered if f'"{saga_id}"' in line.replace(f'task_queue="{saga_id}"', "")]
    assert 'le="2592000"' in text


async def test_the_query_of_the_page_counts_stuck_sagas(temporal: EmbeddedTemporal) -> None:
    """The query runs through Temporal's own command."""
    (command,) = re.findall(r"```\n(temporal workflow count .*?)\n```", PAGE)
    client = await Client.connect(temporal.address, plugins=[SagaPlugin()])
    await register_search_attributes(client)
    words = shlex.split(command)

    async with stuck(client) as saga:

        async def is_listed() -> bool:
            return saga.id in {each.id async for each in client.list_workflows(words[-1])}

        # The visibility store of the server lags behind, and no event announces the update.
        await until(is_listed)
        process = await asyncio.create_subprocess_exec(
            find_temporal_program(),
            *words[1:],
            "--address",
            temporal.address,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()

    assert process.returncode == 0
    assert int(output.decode().removeprefix("Total:")) > 0


async def test_the_code_of_the_page_sends_spans(temporal: EmbeddedTemporal, tmp_path: Path) -> None:
    """In a new process, each span of the client is a line on stderr."""
    begin = "    await client.start_workflow('NobodysSaga', id='telemetry-1', task_queue='nobodys')\n"
    # `run_main`, because a short process with a client may abort at its exit: see `workers._cli.exit_codes`.
    body = indent(TRACES + begin, "    ")
    program = f"from workers import run_main\n\n\nasync def main():\n{body}\n\nrun_main(main())\n"
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "TEMPORAL_ADDRESS": temporal.address, "SAGAS_TELEMETRY": "console"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    _, errors = await asyncio.wait_for(process.communicate(), timeout=60)

    assert process.returncode == 0, errors.decode()
    assert "StartWorkflow:NobodysSaga" in errors.decode()
    assert "my-worker" in errors.decode()
