"""Runs the worker of an example as a process: the sagas, and the activities for the services."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any

import typer

from activities import HttpParticipant
from sagas import Operation, SagaPlugin
from workers import connect, load_settings, metrics_runtime, run_main, run_worker, telemetry


def worker_program(workflows: Sequence[type], operations: Sequence[Operation[Any, Any]]) -> typer.Typer:
    """Creates the command line of a worker.

    Args:
        workflows: The workflow classes of the sagas.
        operations: The operations of the sagas; each becomes an activity.
    """
    program = typer.Typer(add_completion=False)

    @program.command()
    def run(
        participant: Annotated[
            list[str], typer.Option(help="A service and its URL: payment=http://127.0.0.1:8001.")
        ],
        task_queue: Annotated[
            str, typer.Option(help="The task queue to poll; by default SAGAS_TASK_QUEUE, or sagas.")
        ] = "",
    ) -> None:
        """Runs the sagas of the example, and the activities for the services."""
        urls = dict(map(_name_and_url, participant))
        run_main(_work(urls, task_queue, workflows, operations))

    return program


async def _work(
    urls: dict[str, str],
    task_queue: str,
    workflows: Sequence[type],
    operations: Sequence[Operation[Any, Any]],
) -> None:
    """Polls until the process is stopped."""
    settings = load_settings()
    async with AsyncExitStack() as stack:
        plugins = stack.enter_context(telemetry(settings, service="worker"))
        client = await connect(settings, plugins=[*plugins, SagaPlugin()], runtime=metrics_runtime(settings))
        participants = [
            await stack.enter_async_context(HttpParticipant(name, url)) for name, url in urls.items()
        ]
        await run_worker(
            client,
            task_queue=task_queue or settings.task_queue,
            workflows=workflows,
            activities=[call for each in participants for call in each.activities(operations)],
            graceful_shutdown_timeout=settings.graceful_shutdown,
        )


def _name_and_url(participant: str) -> tuple[str, str]:
    name, _, url = participant.partition("=")
    if not name or not url:
        raise typer.BadParameter(
            f"{participant!r} is not a service and its URL, such as payment=http://127.0.0.1:8001",
            param_hint="--participant",
        )
    return name, url
