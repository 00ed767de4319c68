"""Batches of example orders, each paused at an interruption point of its own in a separate worker process."""

import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from examples.order.saga import OrderSaga
from examples.order.scenarios import ORDER_EFFECTS, an_order
from examples.payment.saga import PaymentSaga
from examples.stack.end_state import NO_EFFECTS, EndState, read_end_state
from examples.stack.stack import ROOT, Stack
from tests.waiting import until
from workers import ChildProcess

from ..interruption_points import InterruptionPoint, Timing, interruption_points
from ..saga_histories import (
    ACTIVITY_SCHEDULED,
    CHILD_STARTED,
    STARTED,
    RunHistory,
    completed_tasks,
    fetch_run_histories,
)
from ..stepped_worker import LONGEST_PAUSE
from ..strict_replay import replay_strictly

PATIENCE = 180
"""Seconds. The server reassigns the workflow task of a killed worker after 30, an activity after 10."""

SHIPPED, REJECTED = "10115", "00001"
"""The postal codes of a shipped order, and of an order that is rejected after the payment."""

TIMINGS = {Timing.BEFORE_TASK, Timing.DURING_TASK, Timing.ACTIVITY_STARTED, Timing.REPLY_PENDING}


@dataclass(frozen=True, slots=True)
class BaselineOrder:
    """The histories of an undisturbed order, and the interruption points of these histories."""

    postal_code: str
    histories: list[RunHistory]
    points: list[InterruptionPoint]


OrderCase = tuple[BaselineOrder, InterruptionPoint]
"""An undisturbed order, and the point at which another order like this one is interrupted."""


def order_cases(baseline_orders: Sequence[BaselineOrder]) -> list[OrderCase]:
    """All interruption points of the undisturbed orders."""
    return [(baseline, point) for baseline in baseline_orders for point in baseline.points]


class OrderBatch:
    """Orders that share one worker process and pause at their interruption points.

    Args:
        stack: The running servers and services.
        folder: The folder of the marker files that the worker and the test exchange.
        order_points: The postal code and the interruption point of each order.
        run_timeout: The run timeout of each saga, hidden from the saga.
    """

    def __init__(
        self,
        stack: Stack,
        folder: Path,
        order_points: Sequence[tuple[str, InterruptionPoint | None]],
        *,
        run_timeout: timedelta | None = None,
    ) -> None:
        self.folder, self.run_timeout, self._stack = folder, run_timeout, stack
        folder.mkdir()
        self.sagas = {f"order-{secrets.token_hex(6)}": order_point for order_point in order_points}
        self.worker = self._worker()
        self._write(is_paused=True)

    async def start(self) -> None:
        """Starts the worker and then the orders; the caller kills the worker."""
        await self.start_worker()
        for saga_id in self.sagas:
            await self.start_order(saga_id)

    async def start_worker(self) -> None:
        """Starts the worker and returns when the worker polls; the caller kills the worker."""
        self.worker.start()
        await self.worker.wait_ready(self._is_ready, timeout=timedelta(seconds=PATIENCE))

    async def start_order(self, saga_id: str) -> None:
        """Starts one of the orders."""
        postal_code, _ = self.sagas[saga_id]
        await self._stack.client.start_workflow(
            OrderSaga.run,
            an_order(postal_code=postal_code)(order_of(saga_id)),
            id=saga_id,
            task_queue=saga_id,
            task_timeout=LONGEST_PAUSE,
            run_timeout=self.run_timeout,
        )

    async def wait_until_all_paused(self) -> None:
        """Waits until each order is at its interruption point, and checks that no order is past the point."""
        await asyncio.gather(*(self.wait_until_paused(saga_id) for saga_id in self.sagas))
        for saga_id, (_, point) in self.sagas.items():
            assert point
            history = await self.paused_workflow(saga_id).fetch_history()
            events = [event.event_type for event in history.events]
            # A child may have closed; the parent has not processed the close.
            assert STARTED not in events[point.event :], (
                f"{saga_id} is not at {point}, but at {[EventType.Name(e) for e in events]}"
            )

    async def wait_until_paused(self, saga_id: str) -> None:
        """Waits until an order is at its interruption point, or can no longer reach the point."""
        _, point = self.sagas[saga_id]
        assert point
        saga: Any = self._stack.client.get_workflow_handle(saga_id)
        if point.path:
            async for event in saga.fetch_history_events(wait_new_event=True):
                if event.event_type == CHILD_STARTED:
                    break
            else:
                return
        async for event in self.paused_workflow(saga_id).fetch_history_events(wait_new_event=True):
            if event.event_id == point.event:
                break
        if point.blocked:
            # The server repeats an attempt that timed out, unless the saga has closed by then.
            closed = asyncio.create_task(self._wait_until_closed(saga_id))
            try:
                await until(lambda: closed.done() or self.is_paused(saga_id), within=PATIENCE)
            finally:
                closed.cancel()

    def is_paused(self, saga_id: str) -> bool:
        """Whether an activity of an order is paused, or was paused."""
        return self.note(saga_id, "paused").exists()

    def paused_workflow(self, saga_id: str) -> Any:
        """A handle of the saga or child saga that is paused."""
        _, point = self.sagas[saga_id]
        path = f"/{point.path}" if point and point.path else ""
        return self._stack.client.get_workflow_handle(saga_id + path)

    def release(self, *saga_ids: str) -> None:
        """Lets the worker continue some of the orders."""
        for saga_id in saga_ids:
            self.note(saga_id, "release").touch()

    def clear_points(self) -> None:
        """The next worker pauses no order."""
        self._write(is_paused=False)

    def note(self, saga_id: str, what: str) -> Path:
        """The marker file of an order."""
        return self.folder / f"{saga_id}.{what}"

    async def ending(self, saga_id: str) -> EndState:
        """The state of an order in all services."""
        return await read_end_state(_ServiceStates(self._stack), order_of(saga_id))

    async def check_endings(self) -> list[list[RunHistory]]:
        """Waits until all sagas have closed, checks the state in every service, and replays the histories."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.gather(*(self._check_ending(s, p) for s, (p, _) in self.sagas.items()))

    async def _check_ending(self, saga_id: str, postal_code: str) -> list[RunHistory]:
        effects = ORDER_EFFECTS if postal_code == SHIPPED else NO_EFFECTS
        await self._wait_until_closed(saga_id)
        ending = await self.ending(saga_id)
        status = (await self._stack.client.get_workflow_handle(saga_id).describe()).status
        where = f"{saga_id} {self.sagas[saga_id]}"
        assert (ending.effects, ending.unbalanced) == (effects, ()), where
        expected = WorkflowExecutionStatus.COMPLETED if effects else WorkflowExecutionStatus.FAILED
        assert status is expected, where
        histories = await fetch_run_histories(self._stack.client, saga_id)
        await replay_strictly([OrderSaga, PaymentSaga], (history.raw for history in histories))
        return histories

    async def _wait_until_closed(self, saga_id: str) -> None:
        handle: Any = self._stack.client.get_workflow_handle(saga_id)
        with suppress(WorkflowFailureError):
            await handle.result()

    def _worker(self) -> ChildProcess:
        participants = [f"{service}={url}" for service, url in self._stack.urls.items()]
        return ChildProcess(
            [
                sys.executable,
                "-m",
                "tests.sweeps.orders.pausing_worker",
                self.folder / "plan.json",
                *participants,
            ],
            name="the pausing worker",
            log=self.folder / "worker.log",
            environment={"SAGAS_DATA_FOLDER": str(self._stack.settings.data_folder)},
            working_directory=ROOT,
        )

    async def _is_ready(self) -> bool:
        return (self.folder / "ready").exists()

    def _write(self, *, is_paused: bool) -> None:
        plan = [
            {
                **_pause_plan(saga_id, point if is_paused else None),
                "has_run_timeout": self.run_timeout is not None,
            }
            for saga_id, (_, point) in self.sagas.items()
        ]
        (self.folder / "plan.json").write_text(json.dumps(plan))


async def run_baseline_orders(stack: Stack, folder: Path, report: list[str]) -> tuple[BaselineOrder, ...]:
    """Runs a shipped and a rejected order, undisturbed; returns both with all interruption points."""
    batch = OrderBatch(stack, folder, [(SHIPPED, None), (REJECTED, None)])
    try:
        await batch.start()
        endings = await batch.check_endings()
    finally:
        batch.worker.kill()
    found: list[BaselineOrder] = []
    for saga_id, histories in zip(batch.sagas, endings, strict=True):
        postal_code, _ = batch.sagas[saga_id]
        points = [m for m in interruption_points(histories, [], saga_id) if m.timing in TIMINGS]
        for history in histories:
            reached = {m.event for m in points if m.path == history.path}
            assert reached == interruptible_lengths(history), (
                f"interruption points are missing: {interruptible_lengths(history) ^ reached}"
            )
            report.append(f"order {postal_code} {history.path or 'root'}: points after {sorted(reached)}")
        found.append(BaselineOrder(postal_code, histories, points))
    return tuple(found)


def interruptible_lengths(history: RunHistory) -> set[int]:
    """The lengths of a history at which the server writes no further event without a worker."""
    found = set[int]()
    for started, completed, last in completed_tasks(history.events):
        found |= {started - 1, started}
        # While a child is open, the points of the child are points of the parent as well.
        if any(event.event_type == ACTIVITY_SCHEDULED for event in history.events[completed:last]):
            found.add(last)
    return found


def order_of(saga_id: str) -> str:
    """The id of the order of a saga."""
    return saga_id.removeprefix("order-")


class _ServiceStates:
    """Reads the state of services, with a new connection each time: a kept connection may just be closing."""

    def __init__(self, stack: Stack) -> None:
        self.urls = stack.urls

    async def get(self, service: str, path: str) -> dict[str, object]:
        """Reads a resource of a service."""
        # Without certificates, which take longer to load than the whole request.
        async with httpx.AsyncClient(trust_env=False, timeout=60, verify=False) as http:
            response = await http.get(self.urls[service] + path)
        response.raise_for_status()
        answer: dict[str, object] = response.json()
        return answer


def _pause_plan(saga_id: str, point: InterruptionPoint | None) -> dict[str, object]:
    """The entry of a saga in the plan file of the worker."""
    where = f"{saga_id}/{point.path}" if point and point.path else saga_id
    blocked = point.blocked if point else None
    admitted = point.workflow_tasks if point and point.timing is Timing.BEFORE_TASK else None
    return {
        "id": saga_id,
        "task": [where, point.event, point.run] if point and point.timing is Timing.DURING_TASK else None,
        "admitted": [admitted.depth, admitted.fresh, admitted.sticky] if admitted else None,
        "blocked": [where, blocked[1]] if blocked else [],
        "is_reply_pending": point is not None and point.timing is Timing.REPLY_PENDING,
    }
