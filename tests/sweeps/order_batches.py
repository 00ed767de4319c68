"""Orders that are brought to points of their own, all the points that there are, and held there."""

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

from .cancel_points import Moment, When, moments_of
from .saga_histories import ACTIVITY_SCHEDULED, CHILD_STARTED, STARTED, Line, batches, family
from .stepped_worker import LONGEST_HOLD
from .strict_replay import replay_strictly

PATIENCE = 180
"""Seconds; a task that died with its worker is given to another after 30, an attempt after 10."""

SHIPPED, REFUSED = "10115", "00001"
"""The postal codes with which an order is fulfilled, and refused after its payment."""

KINDS = {When.BEFORE_TASK, When.DURING_TASK, When.BEGUN, When.ANSWERED}

Point = tuple[str, Moment]
"""A postal code, and where the order with it is held."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What becomes of an order that is left alone, and the points that it comes through."""

    postal_code: str
    lines: list[Line]
    moments: list[Moment]

    @property
    def points(self) -> list[Point]:
        """Where an order with this postal code can be held."""
        return [(self.postal_code, moment) for moment in self.moments]


class Wave:
    """Orders that are brought to their points together, in one worker.

    Args:
        stack: Where they run.
        folder: Where worker and test leave notes for each other.
        points: The postal code of each order, and where it is held.
        time_limit: After which the server ends a saga, which does not see that there is a limit.
    """

    def __init__(
        self,
        stack: Stack,
        folder: Path,
        points: Sequence[tuple[str, Moment | None]],
        *,
        time_limit: timedelta | None = None,
    ) -> None:
        self.folder, self.time_limit, self._stack = folder, time_limit, stack
        folder.mkdir()
        self.sagas = {f"order-{secrets.token_hex(6)}": point for point in points}
        self.worker = self._worker()
        self._write(is_held=True)

    async def start(self) -> None:
        """Starts the worker, which is the caller's to kill, and then the orders."""
        await self.start_worker()
        for saga_id in self.sagas:
            await self.start_order(saga_id)

    async def start_worker(self) -> None:
        """Starts the worker, which is the caller's to kill, and returns when it polls."""
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
            task_timeout=LONGEST_HOLD,
            run_timeout=self.time_limit,
        )

    async def until_all_are_there(self) -> None:
        """Waits until each order is at its point, and makes sure that it has not gone further."""
        await asyncio.gather(*(self.until_there(saga_id) for saga_id in self.sagas))
        for saga_id, (_, moment) in self.sagas.items():
            assert moment
            history = await self.held_workflow(saga_id).fetch_history()
            events = [event.event_type for event in history.events]
            # A child that is under way may have ended; its parent has not heard of it.
            assert STARTED not in events[moment.event :], (
                f"{saga_id} is not at {moment}, but at {[EventType.Name(e) for e in events]}"
            )

    async def until_there(self, saga_id: str) -> None:
        """Waits until an order is at its point, or cannot come there any more."""
        _, moment = self.sagas[saga_id]
        assert moment
        saga: Any = self._stack.client.get_workflow_handle(saga_id)
        if moment.path:
            async for event in saga.fetch_history_events(wait_new_event=True):
                if event.event_type == CHILD_STARTED:
                    break
            else:
                return
        async for event in self.held_workflow(saga_id).fetch_history_events(wait_new_event=True):
            if event.event_id == moment.event:
                break
        if moment.held:
            # An attempt that the server lost is made again, unless the saga is over by then.
            over = asyncio.create_task(self._until_over(saga_id))
            try:
                await until(lambda: over.done() or self.is_held(saga_id), within=PATIENCE)
            finally:
                over.cancel()

    def is_held(self, saga_id: str) -> bool:
        """Whether an activity of an order is held, or was."""
        return self.note(saga_id, "held").exists()

    def held_workflow(self, saga_id: str) -> Any:
        """The saga or the child that is held."""
        _, moment = self.sagas[saga_id]
        path = f"/{moment.path}" if moment and moment.path else ""
        return self._stack.client.get_workflow_handle(saga_id + path)

    def let_go(self, *saga_ids: str) -> None:
        """Has the worker go on with some of the orders."""
        for saga_id in saga_ids:
            self.note(saga_id, "go-on").touch()

    def forget_points(self) -> None:
        """The next worker holds nothing."""
        self._write(is_held=False)

    def note(self, saga_id: str, what: str) -> Path:
        """What worker and test tell each other about an order."""
        return self.folder / f"{saga_id}.{what}"

    async def ending(self, saga_id: str) -> EndState:
        """What the services hold of an order now."""
        return await read_end_state(_Asking(self._stack), order_of(saga_id))

    async def check_endings(self) -> list[list[Line]]:
        """Waits until all have ended, checks every service, and replays the histories."""
        async with asyncio.timeout(PATIENCE):
            return await asyncio.gather(*(self._check_ending(s, p) for s, (p, _) in self.sagas.items()))

    async def _check_ending(self, saga_id: str, postal_code: str) -> list[Line]:
        effects = ORDER_EFFECTS if postal_code == SHIPPED else NO_EFFECTS
        await self._until_over(saga_id)
        ending = await self.ending(saga_id)
        status = (await self._stack.client.get_workflow_handle(saga_id).describe()).status
        where = f"{saga_id} {self.sagas[saga_id]}"
        assert (ending.effects, ending.unbalanced) == (effects, ()), where
        expected = WorkflowExecutionStatus.COMPLETED if effects else WorkflowExecutionStatus.FAILED
        assert status is expected, where
        lines = await family(self._stack.client, saga_id)
        await replay_strictly([OrderSaga, PaymentSaga], (line.history for line in lines))
        return lines

    async def _until_over(self, saga_id: str) -> None:
        handle: Any = self._stack.client.get_workflow_handle(saga_id)
        with suppress(WorkflowFailureError):
            await handle.result()

    def _worker(self) -> ChildProcess:
        participants = [f"{service}={url}" for service, url in self._stack.urls.items()]
        return ChildProcess(
            [sys.executable, "-m", "tests.sweeps.pausing_worker", self.folder / "plan.json", *participants],
            name="the holding worker",
            log=self.folder / "worker.log",
            environment={"SAGAS_DATA_FOLDER": str(self._stack.settings.data_folder)},
            working_directory=ROOT,
        )

    async def _is_ready(self) -> bool:
        return (self.folder / "ready").exists()

    def _write(self, *, is_held: bool) -> None:
        plan = [
            {**_as_told(saga_id, moment if is_held else None), "has_time_limit": self.time_limit is not None}
            for saga_id, (_, moment) in self.sagas.items()
        ]
        (self.folder / "plan.json").write_text(json.dumps(plan))


async def undisturbed(stack: Stack, folder: Path, report: list[str]) -> tuple[Whole, ...]:
    """An order that is fulfilled, and one that is refused after its payment, with every point of both."""
    wave = Wave(stack, folder, [(SHIPPED, None), (REFUSED, None)])
    try:
        await wave.start()
        endings = await wave.check_endings()
    finally:
        wave.worker.kill()
    found: list[Whole] = []
    for saga_id, lines in zip(wave.sagas, endings, strict=True):
        postal_code, _ = wave.sagas[saga_id]
        moments = [m for m in moments_of(lines, [], saga_id) if m.when in KINDS]
        for line in lines:
            reached = {m.event for m in moments if m.path == line.path}
            assert reached == lengths(line), f"points are missing: {lengths(line) ^ reached}"
            report.append(f"order {postal_code} {line.path or 'root'}: points after {sorted(reached)}")
        found.append(Whole(postal_code, lines, moments))
    return tuple(found)


def lengths(line: Line) -> set[int]:
    """How long a history is whenever nothing more is written to it without a worker."""
    found = set[int]()
    for started, completed, last in batches(line.events):
        found |= {started - 1, started}
        # While a child is under way, its points are those of its parent as well.
        if any(event.event_type == ACTIVITY_SCHEDULED for event in line.events[completed:last]):
            found.add(last)
    return found


def order_of(saga_id: str) -> str:
    """The id of the order that a saga is about."""
    return saga_id.removeprefix("order-")


class _Asking:
    """Asks each service on a connection of its own: a kept one may be closed in the moment of its use."""

    def __init__(self, stack: Stack) -> None:
        self.urls = stack.urls

    async def get(self, service: str, path: str) -> dict[str, object]:
        """What a service answers to a question about its state."""
        # Without certificates, which take longer to load than all the rest.
        async with httpx.AsyncClient(trust_env=False, timeout=60, verify=False) as http:
            response = await http.get(self.urls[service] + path)
        response.raise_for_status()
        answer: dict[str, object] = response.json()
        return answer


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
