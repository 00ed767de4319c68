"""The worker and the server die with a saga at every point of its life, and all end as without a death."""

import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from examples.compare.endings import COMPLETED, NOTHING, ending_of
from examples.compare.scenarios import an_order
from examples.compare.stack import ROOT, Stack
from examples.order.saga import OrderSaga
from examples.payment.saga import PaymentSaga
from tests.waiting import until
from workers import ChildProcess

from .histories import ACTIVITY_SCHEDULED, Line, batches, family
from .moments import Moment, When, moments_of
from .recorded import replay_strictly
from .turnstile import LONGEST_HOLD

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATIENCE = 180
"""Seconds; a task that died with its worker is given to another after 30, an attempt after 10."""

AT_ONCE = 8
"""Sagas that die together: all must have come to their points before the first attempt runs out of time."""

POINTS_OF_SERVER = 10

SHIPPED, REFUSED = "10115", "00001"
"""The postal codes with which an order is fulfilled, and refused after its payment."""

Point = tuple[str, Moment]


async def test_the_worker_dies_after_each_event(stack: Stack, tmp_path: Path, report: list[str]) -> None:
    """A completed order has every effect once, a refused one none, wherever its worker was killed."""
    points = await _points(stack, tmp_path / "undisturbed", report)

    turn = asyncio.Lock()

    async def die_and_go_on(wave: Wave) -> None:
        # One wave after the other comes to its points; while it recovers, there is room for the next.
        async with AsyncExitStack() as exits:
            async with turn:
                worker = await wave.start()
                exits.callback(worker.kill)
                await wave.until_all_are_there()
                worker.kill()
                wave.forget_points()
                worker.start()
            await wave.check_endings()

    async with asyncio.TaskGroup() as waves:
        for number, start in enumerate(range(0, len(points), AT_ONCE)):
            wave = Wave(stack, tmp_path / f"wave-{number}", points[start : start + AT_ONCE])
            waves.create_task(die_and_go_on(wave))
    report.append(f"kills of the worker: {len(points)} sagas, each at a point of its own")


async def test_the_server_dies_at_ten_points_at_once(stack: Stack, tmp_path: Path, report: list[str]) -> None:
    """It loses nothing that it has acknowledged, and its worker goes on by itself."""
    assert stack.temporal is not None
    points = await _points(stack, tmp_path / "undisturbed", [])
    some = points[:: max(1, len(points) // POINTS_OF_SERVER)]
    wave = Wave(stack, tmp_path / "server", some)

    worker = await wave.start()
    try:
        await wave.until_all_are_there()
        stack.temporal.kill()
        await stack.temporal.restart()
        (wave.folder / "go-on").touch()
        await wave.check_endings()
    finally:
        worker.kill()
    report.append(f"kills of the server: {len(some)} sagas, each at a point of its own")


class Wave:
    """Orders that are brought to their points together, in one worker.

    Args:
        stack: Where they run.
        folder: Where worker and test leave notes for each other.
        points: The postal code of each order, and where it is held.
    """

    def __init__(self, stack: Stack, folder: Path, points: Sequence[tuple[str, Moment | None]]) -> None:
        self.folder, self._stack = folder, stack
        folder.mkdir()
        self.sagas = {f"order-{secrets.token_hex(6)}": point for point in points}
        self._write(is_held=True)

    async def start(self) -> ChildProcess:
        """Starts the orders and their worker, which is the caller's to kill."""
        participants = [f"{service}={url}" for service, url in self._stack.urls.items()]
        process = ChildProcess(
            [sys.executable, "-m", "tests.sweeps.holding_worker", self.folder / "plan.json", *participants],
            name="the holding worker",
            log=self.folder / "worker.log",
            environment={"SAGAS_DATA_FOLDER": str(self._stack.settings.data_folder)},
            folder=ROOT,
        )
        for saga_id, (postal_code, _) in self.sagas.items():
            order = an_order(postal_code=postal_code)(saga_id.removeprefix("order-"))
            await self._stack.client.start_workflow(
                OrderSaga.run, order, id=saga_id, task_queue=saga_id, task_timeout=LONGEST_HOLD
            )
        process.start()
        return process

    async def until_all_are_there(self) -> None:
        """Waits until each order is at its point, and makes sure that it has not gone further."""
        await asyncio.gather(*(self._until_there(s, m) for s, (_, m) in self.sagas.items() if m))
        for saga_id, (_, moment) in self.sagas.items():
            assert moment
            history = await self._handle(saga_id, moment).fetch_history()
            events = [event.event_type for event in history.events]
            # A child that is under way may have ended; its parent has not heard of it.
            assert EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED not in events[moment.event :], (
                f"{saga_id} is not at {moment}, but at {[EventType.Name(e) for e in events[20:]]}"
            )

    def forget_points(self) -> None:
        """The next worker holds nothing."""
        self._write(is_held=False)

    async def check_endings(self) -> list[list[Line]]:
        """Waits until all have ended, checks every service, and replays the histories."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.gather(*(self._check_ending(s, p) for s, (p, _) in self.sagas.items()))

    async def _until_there(self, saga_id: str, moment: Moment) -> None:
        if moment.held:
            await until((self.folder / saga_id).exists, within=PATIENCE)
        if moment.path:
            async for event in self._stack.client.get_workflow_handle(saga_id).fetch_history_events(
                wait_new_event=True
            ):
                if event.HasField("child_workflow_execution_started_event_attributes"):
                    break
        async for event in self._handle(saga_id, moment).fetch_history_events(wait_new_event=True):
            if event.event_id == moment.event:
                return

    def _handle(self, saga_id: str, moment: Moment) -> Any:
        return self._stack.client.get_workflow_handle(f"{saga_id}/{moment.path}" if moment.path else saga_id)

    async def _check_ending(self, saga_id: str, postal_code: str) -> list[Line]:
        effects = COMPLETED if postal_code == SHIPPED else NOTHING
        handle: Any = self._stack.client.get_workflow_handle(saga_id)
        with suppress(WorkflowFailureError):
            await handle.result()
        ending = await ending_of(Asking(self._stack), saga_id.removeprefix("order-"))
        status = (await handle.describe()).status
        where = f"{saga_id} {self.sagas[saga_id]}"
        assert (ending.effects, ending.broken) == (effects, ()), where
        expected = WorkflowExecutionStatus.COMPLETED if effects else WorkflowExecutionStatus.FAILED
        assert status is expected, where
        lines = await family(self._stack.client, saga_id)
        await replay_strictly([OrderSaga, PaymentSaga], (line.history for line in lines))
        return lines

    def _write(self, *, is_held: bool) -> None:
        plan = [_as_told(saga_id, moment if is_held else None) for saga_id, (_, moment) in self.sagas.items()]
        (self.folder / "plan.json").write_text(json.dumps(plan))


class Asking:
    """Asks each service on a connection of its own: a kept one may be closed in the moment of its use."""

    def __init__(self, stack: Stack) -> None:
        self.urls = stack.urls

    async def get(self, service: str, path: str) -> dict[str, object]:
        """What a service answers to a question about its state."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            response = await http.get(self.urls[service] + path)
        response.raise_for_status()
        answer: dict[str, object] = response.json()
        return answer


async def _points(stack: Stack, folder: Path, report: list[str]) -> list[Point]:
    """Every point of an order that is fulfilled, and of one that is refused after its payment."""
    wave = Wave(stack, folder, [(SHIPPED, None), (REFUSED, None)])
    worker = await wave.start()
    try:
        endings = await wave.check_endings()
    finally:
        worker.kill()
    found: list[Point] = []
    for saga_id, lines in zip(wave.sagas, endings, strict=True):
        postal_code, _ = wave.sagas[saga_id]
        moments = [m for m in moments_of(lines, [], saga_id) if m.when in KINDS]
        for line in lines:
            reached = {m.event for m in moments if m.path == line.path}
            assert reached == _lengths(line), f"points are missing: {_lengths(line) ^ reached}"
            report.append(f"order {postal_code} {line.path or 'root'}: points after {sorted(reached)}")
        found += [(postal_code, moment) for moment in moments]
    return found


KINDS = {When.BEFORE_TASK, When.DURING_TASK, When.BEGUN, When.ANSWERED}


def _lengths(line: Line) -> set[int]:
    """How long a history is whenever nothing more is written to it without a worker."""
    lengths = set[int]()
    for started, completed, last in batches(line.events):
        lengths |= {started - 1, started}
        # While a child is under way, its points are those of its parent as well.
        if any(event.event_type == ACTIVITY_SCHEDULED for event in line.events[completed:last]):
            lengths.add(last)
    return lengths


def _as_told(saga_id: str, moment: Moment | None) -> dict[str, object]:
    """What the worker is told of a saga and its point."""
    where = f"{saga_id}/{moment.path}" if moment and moment.path else saga_id
    held = moment.held if moment else None
    passes = moment.tasks if moment and moment.when is When.BEFORE_TASK else None
    return {
        "id": saga_id,
        "task": [where, moment.event, moment.run] if moment and moment.when is When.DURING_TASK else None,
        "passes": [passes.depth, passes.fresh, passes.sticky] if passes else None,
        "held": [where, held[1]] if held else [],
        "is_answered": moment is not None and moment.when is When.ANSWERED,
    }
