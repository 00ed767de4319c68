"""The worker of the example sagas as a process: `python -m examples.worker --participant payment=URL …`."""

from contextlib import AsyncExitStack
from typing import Annotated, Any

import typer

from activities import HttpParticipant
from examples.order import operations as order
from examples.order.saga import OrderSaga
from examples.payment import operations as payment
from examples.payment.saga import PaymentSaga
from sagas import Operation, SagaPlugin
from workers import connect, load_settings, metrics_runtime, run_main, run_worker, telemetry

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    order.create_order,
    order.cancel_order,
    order.approve_order,
    order.screen_order,
    order.reserve_stock,
    order.release_stock,
    order.create_shipment,
    payment.authorize_payment,
    payment.void_authorization,
    payment.capture_payment,
    payment.refund_payment,
    payment.send_receipt,
    payment.tell_customer,
)
"""Every operation that the example sagas ask for."""


def main(
    participant: Annotated[list[str], typer.Option(help="Where one listens: payment=http://127.0.0.1:8001.")],
    task_queue: Annotated[str, typer.Option(help="What it polls; SAGAS_TASK_QUEUE, or sagas.")] = "",
) -> None:
    """Runs the payment and order sagas, and the activities that reach their participants."""
    run_main(work(dict(map(_name_and_url, participant)), task_queue))


async def work(urls: dict[str, str], task_queue: str) -> None:
    """Polls until it is told to stop."""
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
            workflows=[OrderSaga, PaymentSaga],
            activities=[call for each in participants for call in each.activities(OPERATIONS)],
            graceful_shutdown_timeout=settings.graceful_shutdown,
        )


def _name_and_url(participant: str) -> tuple[str, str]:
    name, _, url = participant.partition("=")
    if not name or not url:
        raise typer.BadParameter(
            f"{participant!r} does not say who listens where: payment=http://127.0.0.1:8001",
            param_hint="--participant",
        )
    return name, url


if __name__ == "__main__":
    typer.run(main)
