"""All participants of the examples in one thread: a seed decides the order of deliveries and the crashes."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel

from choreography import (
    CommandType,
    DeadLetterError,
    Event,
    OperationRequest,
    Participant,
    Reactions,
    build_schema,
)
from choreography._transaction import outbox
from choreography._transaction.command_processor import CommandProcessor
from choreography._transaction.database import open_connection, run_in_transaction
from choreography._transaction.event_processor import EventProcessor, ProcessedEvent
from choreography._transaction.failpoint import Failpoint
from choreography._transaction.fence import OperationRejected
from choreography._transaction.operation_executor import OperationExecutor
from examples.demo.scenario import Scenario
from examples.order.deployment import REACTIONS, SERVICES, TOPOLOGY
from examples.order.event_types import place_order
from examples.order.faults import shipment_fault
from examples.order.messages import Order
from examples.payment.event_types import place_payment
from examples.payment.faults import payment_fault
from examples.service_kit.fault_injection import Fault
from examples.stack.end_state import EndState, read_end_state

MOST_STEPS = 3_000
MOST_COPIES = 4


class Crash(BaseException):
    """The process ends."""


@dataclass
class Delivery:
    participant: str
    event: Event
    copies: int = 1

    def __str__(self) -> str:
        return f"{self.event.type} to {self.participant}"


@dataclass
class FaultRates:
    """The probability of each fault, per delivery or publication."""

    crash: float = 0.15
    duplicate: float = 0.2


@dataclass
class SimulatedWorld:
    """Delivers events until none is left; `log` has every step.

    Args:
        seed: Decides every random choice.
        rates: The probability of faults.
        reactions: The reactions of each participant.
        has_inbox: Whether the participants keep their inbox rows.
        make_executor: Makes the operation executor of a participant.
    """

    seed: int
    rates: FaultRates = field(default_factory=FaultRates)
    reactions: Mapping[str, Reactions] = field(default_factory=lambda: REACTIONS)
    has_inbox: bool = True
    make_executor: Callable[[Participant], OperationExecutor] = OperationExecutor
    log: list[str] = field(default_factory=list[str])
    dead_letters: list[str] = field(default_factory=list[str])
    published: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.undelivered: list[Delivery] = []
        self.databases: dict[str, sqlite3.Connection] = {}
        self.injected: set[str] = set()
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        for name, each in self.reactions.items():
            connection = open_connection(":memory:", schema=build_schema(each.participant))
            self.databases[name] = self._exit.enter_context(closing(connection))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def start(self, scenario: Scenario, order_id: str = "1") -> None:
        """Starts a scenario with a command, for an order or a payment."""
        message = scenario.build(order_id)
        if isinstance(message, Order):
            self.send("order", place_order, message)
        else:
            self.send("payment", place_payment, message)

    def send(
        self, participant: str, command_type: CommandType[Any], data: BaseModel
    ) -> str | OperationRejected:
        """Sends a command of a client to a participant."""
        processor = CommandProcessor(self.reactions[participant])
        work = partial(processor.execute, command_type=command_type, data=data)
        self.log.append(f"{command_type.name} is sent")
        return run_in_transaction(self.databases[participant], work)

    def run(self, *, steps: int = MOST_STEPS) -> None:
        """Delivers and relays events until none is left, or for some steps."""
        for _ in range(steps):
            relaying = [name for name, db in self.databases.items() if self._has_stored_events(db)]
            chosen = self.random.randrange(len(self.undelivered) + len(relaying) or 1)
            if chosen < len(self.undelivered):
                self._deliver(self.undelivered.pop(chosen))
            elif relaying:
                self._relay(relaying[chosen - len(self.undelivered)])
            else:
                return
        assert steps < MOST_STEPS, f"seed {self.seed}: does not end: {self.log[-20:]}"

    async def ending(self, order_id: str) -> EndState:
        """The data of every participant in the end."""
        return await read_end_state(_States(self.databases), order_id)

    def steps(self) -> dict[str, str]:
        """The state of each idempotency key, of all participants."""
        return {key: state for key, (_, state, *_) in self.rows().items()}

    def rows(self) -> dict[str, tuple[str, ...]]:
        """The fence rows of all participants, without times."""
        return {key: tuple(row) for db in self.databases.values() for key, *row in fence_rows(db)}

    def count_stored_events(self) -> dict[str, int]:
        """The number of events ever stored in the outbox of each participant."""
        rows = {
            name: db.execute("select seq from sqlite_sequence where name = 'saga_outbox'").fetchone()
            for name, db in self.databases.items()
        }
        return {name: row[0] for name, row in rows.items() if row}

    def _has_stored_events(self, db: sqlite3.Connection) -> bool:
        return db.execute("select 1 from saga_outbox limit 1").fetchone() is not None

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _deliver(self, delivery: Delivery) -> None:
        again = delivery.copies < MOST_COPIES and self._chance(self.rates.duplicate)
        try:
            processed = self._process(delivery)
        except Crash as crash:
            self.log.append(f"{delivery}: crash at {crash}")
            again = True
        except DeadLetterError as error:
            self.dead_letters.append(f"{delivery}: {error}")
        else:
            self.log.append(f"{delivery}: {'repeated' if processed.is_repeated else 'processed'}")
        if again:
            delivery.copies += 1
            self.undelivered.append(delivery)

    def _process(self, delivery: Delivery) -> ProcessedEvent:
        name = delivery.participant
        reactions, db = self.reactions[name], self.databases[name]
        crash_at: Failpoint | None = None

        def crash(failpoint: Failpoint) -> None:
            if failpoint is crash_at:
                raise Crash(failpoint)

        processor = EventProcessor(
            reactions,
            executor=self.make_executor(reactions.participant),
            is_outcome_known=_is_outcome_known,
            on_failpoint=crash,
        )
        parsed = processor.parse(delivery.event)
        for request in parsed.requests:
            self._inject(request, Fault.UNAVAILABLE_ONCE)
        crash_at = self.random.choice(tuple(Failpoint)) if self._chance(self.rates.crash) else None

        def work(tx: sqlite3.Connection) -> ProcessedEvent:
            if not self.has_inbox:
                tx.execute("delete from saga_inbox")
            return processor.process(tx, parsed)

        processed = run_in_transaction(db, work)
        self._check_conservation(name)
        crash(Failpoint.AFTER_COMMIT)
        for request in parsed.requests:
            self._inject(request, Fault.REPLY_LOST)
        return processed

    def _inject(self, request: OperationRequest, fault: Fault) -> None:
        """Fails the first request of a key, if the message asks for this fault."""
        injection = f"{fault} {request.key}"
        if fault_for(request.operation, request.message) is fault and injection not in self.injected:
            self.injected.add(injection)
            raise Crash(fault)

    def _relay(self, name: str) -> None:
        db = self.databases[name]
        stored = self.random.choice(outbox.read_due(db, datetime.now(UTC), limit=100))
        self.published[stored.event.id] += 1
        subscribers = TOPOLOGY.find_subscribers(stored.event)
        for participant in TOPOLOGY.queues:
            if participant in subscribers:
                self.undelivered.append(Delivery(participant, stored.event))
        if self._chance(self.rates.crash):
            self.log.append(f"{stored.event.type}: crash after the publication")
            return
        run_in_transaction(db, lambda tx: outbox.delete(tx, [stored.seq]))

    def _check_conservation(self, name: str) -> None:
        balance = SERVICES[name].balance
        if balance is not None:
            assert balance(self.databases[name])["is_conserved"], f"seed {self.seed}: {self.log[-20:]}"


def fence_rows(db: sqlite3.Connection) -> list[tuple[str, ...]]:
    """The fence rows of a participant, without times."""
    return db.execute("select key, action, state, fingerprint, answer from saga_step").fetchall()


@dataclass(frozen=True)
class _States:
    databases: Mapping[str, sqlite3.Connection]

    @property
    def urls(self) -> Mapping[str, str]:
        return dict.fromkeys(self.databases, "")

    async def get(self, service: str, path: str) -> dict[str, object]:
        _, kind, *rest = path.split("/")
        balance = SERVICES[service].balance
        if kind == "balance" and balance is not None:
            return balance(self.databases[service])
        return SERVICES[service].state(self.databases[service], *rest)


def _is_outcome_known(request: OperationRequest) -> bool:
    return fault_for(request.operation, request.message) is not Fault.REPLIES_LOST


def fault_for(operation: str, message: BaseModel) -> Fault | None:
    """The fault that the data of a request asks for in any of the services."""
    return payment_fault(operation, message) or shipment_fault(operation, message)
