"""The log line of a plugin without `authorize`; no server is needed."""

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import WorkerConfig

from sagas import SagaPlugin


@workflow.defn
class AnyWorkflow:
    @workflow.run
    async def run(self) -> None: ...


async def worker_config(*workflows: type) -> WorkerConfig:
    """The options of a worker whose client is not connected."""
    return WorkerConfig(client=await Client.connect("localhost:1", lazy=True), workflows=workflows)


async def test_plugin_without_authorize_logs_once_that_approvals_accept_any_role(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """P18: the first worker with workflows logs the warning; a worker of activities has no approvals."""
    caplog.set_level("INFO", logger="sagas")
    plugin = SagaPlugin()

    plugin.configure_worker(await worker_config())
    before = [record.getMessage() for record in caplog.records]
    for _ in range(2):
        plugin.configure_worker(await worker_config(AnyWorkflow))

    assert before == []
    (message,) = [record.getMessage() for record in caplog.records]
    assert "approvals accept the role that the caller claims" in message
    assert "SagaPlugin(authorize=...)" in message


async def test_plugin_with_authorize_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Every verb is checked."""
    caplog.set_level("INFO", logger="sagas")

    plugin = SagaPlugin(authorize=lambda verb, note: None)
    plugin.configure_worker(await worker_config(AnyWorkflow))

    assert caplog.records == []
