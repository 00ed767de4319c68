"""A service starts while its broker is unavailable."""

import sys
from pathlib import Path

import httpx

from tests.rabbitmq_node import RabbitMQNode
from tests.waiting import until
from workers import ChildProcess, PortLease


async def test_a_service_waits_for_an_unavailable_broker(crashable: RabbitMQNode, tmp_path: Path) -> None:
    """The log names the broker without its password, and the service is ready as soon as the broker is."""
    url = crashable.url
    crashable.kill()
    lease = PortLease(0)
    command = ["examples.order.services", "inventory", f"--database={tmp_path / 'inventory.sqlite3'}"]
    service = ChildProcess(
        [sys.executable, "-m", *command, f"--port={lease.port}"],
        name="the inventory service",
        log=tmp_path / "inventory.log",
        environment={"SAGAS_AMQP_URL": url},
    )

    async with service, httpx.AsyncClient(trust_env=False) as http:
        await until(lambda: "inventory waits for its broker" in service.last_log_lines(100), within=60)
        await crashable.restart()
        await until(lambda: "inventory ready" in service.last_log_lines(100), within=60)

        health = await http.get(f"http://127.0.0.1:{lease.port}/health")

    lease.release()
    assert health.json()["status"] == "ready"
    assert url not in service.log.read_text()
    assert service.exit_code == 0
