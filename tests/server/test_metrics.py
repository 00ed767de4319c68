"""The metrics of a worker have the names and buckets that the alert rules use."""

import httpx
import pytest
from temporalio import workflow
from temporalio.worker import Worker

from sagas import Saga, SagaPlugin, start_saga
from workers import ConfigurationError, EmbeddedTemporal, PortLease, Settings, connect, metrics_runtime
from workers._search_attributes import register_search_attributes


@workflow.defn
class QuietSaga:
    @workflow.run
    async def run(self, text: str) -> str:
        async with Saga():
            return text


async def test_saga_metrics_are_offered_to_prometheus(temporal: EmbeddedTemporal) -> None:
    """Counters have the suffix, durations are in seconds, and the buckets reach a month."""
    lease = PortLease(0)
    settings = Settings(data_folder=temporal.folder, metrics=f"127.0.0.1:{lease.port}")
    client = await connect(settings, plugins=[SagaPlugin()], runtime=metrics_runtime(settings))
    await register_search_attributes(client)

    async with Worker(client, task_queue="metrics", workflows=[QuietSaga]):
        saga = await start_saga(client, QuietSaga.run, "", id="quiet-1", task_queue="metrics")
        await saga.result()
    async with httpx.AsyncClient(trust_env=False) as http:
        page = (await http.get(f"http://{settings.metrics}/metrics")).text

    lines = [line for line in page.splitlines() if 'workflow_type="QuietSaga"' in line]
    assert any(line.startswith("saga_started_total{") and line.endswith(" 1") for line in lines)
    assert any(line.startswith("saga_stuck_entered_total{") and line.endswith(" 0") for line in lines)
    assert any(line.startswith("saga_duration_seconds_bucket{") and 'le="2592000"' in line for line in lines)
    lease.release()


@pytest.mark.parametrize("address", ["here", "localhost:9464", "127.0.0.1"])
def test_an_unusable_address_is_named(address: str) -> None:
    """The sentence has the form of every setting."""
    with pytest.raises(ConfigurationError, match=f"SAGAS_METRICS is '{address}'.*127.0.0.1:9464"):
        metrics_runtime(Settings(metrics=address))


def test_without_an_address_there_is_no_endpoint() -> None:
    """No port is opened by default."""
    assert metrics_runtime(Settings()) is None
