"""A service that is started while its broker is away."""

import sys
from pathlib import Path

import httpx

from tests.rabbitmq_node import RabbitMQNode
from tests.waiting import until
from workers import ChildProcess, PortLease


async def test_a_service_waits_for_a_broker_that_is_away(mortal: RabbitMQNode, tmp_path: Path) -> None:
    """It says what it waits for, without the password, and serves as soon as the broker is there."""
    url = mortal.url
    mortal.kill()
    lease = PortLease(0)
    command = ["examples.service", "inventory", f"--database={tmp_path / 'inventory.sqlite3'}"]
    service = ChildProcess(
        [sys.executable, "-m", *command, f"--port={lease.port}"],
        name="the inventory service",
        log=tmp_path / "inventory.log",
        environment={"SAGAS_AMQP_URL": url},
    )

    async with service, httpx.AsyncClient(trust_env=False) as http:
        await until(lambda: "inventory waits for its broker" in service.last_log_lines(100), within=60)
        await mortal.restart()
        await until(lambda: "inventory ready" in service.last_log_lines(100), within=60)

        health = await http.get(f"http://127.0.0.1:{lease.port}/health")

    lease.release()
    assert health.json()["status"] == "ready"
    assert url not in service.log.read_text()
    assert service.exit_code == 0
