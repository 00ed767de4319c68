"""All participants of the examples in one world of one thread: a seed decides who goes next, and who dies."""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel

from choreography import (
    Assignment,
    Command,
    DeadLetterError,
    Event,
    Failpoint,
    Reactions,
    Refused,
    connect,
    unit_of_work,
)
from choreography import _outbox as outbox
from choreography._handling import Handled, assignments, handle, obey
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
INSIDE = (Failpoint.AFTER_INBOX, Failpoint.BEFORE_COMMIT)


class Crash(BaseException):
    """The process died."""


@dataclass
class Delivery:
    participant: str
    event: Event
    copies: int = 1

    def __str__(self) -> str:
        return f"{self.event.type} to {self.participant}"


@dataclass
class Weather:
    """How often what happens, per chance that it has."""

    crash: float = 0.15
    twice: float = 0.2


@dataclass
class World:
    """Runs until nothing is under way; everything that it does is in `story`.

    Args:
        seed: Decides everything.
        weather: How bad it is.
        reactions: Of each participant.
        has_inbox: Whether participants remember what they have handled.
    """

    seed: int
    weather: Weather = field(default_factory=Weather)
    reactions: Mapping[str, Reactions] = field(default_factory=lambda: REACTIONS)
    has_inbox: bool = True
    story: list[str] = field(default_factory=list[str])
    dead: list[str] = field(default_factory=list[str])
    told: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.under_way: list[Delivery] = []
        self.databases: dict[str, sqlite3.Connection] = {}
        self.hindered: set[str] = set()
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        for name, each in self.reactions.items():
            connection = connect(":memory:", schema=each.participant.schema)
            self.databases[name] = self._exit.enter_context(closing(connection))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def begin(self, scenario: Scenario, order_id: str = "1") -> None:
        """A client places the order, or the payment, of a scenario."""
        message = scenario.build(order_id)
        if isinstance(message, Order):
            self.ask("order", place_order, message)
        else:
            self.ask("payment", place_payment, message)

    def ask(self, participant: str, command: Command[Any], data: BaseModel) -> str | Refused:
        """A client asks a participant for something."""
        work = partial(obey, reactions=self.reactions[participant], command=command, data=data)
        self.story.append(f"{command.name} is asked for")
        return unit_of_work(self.databases[participant], work)

    def run(self, *, steps: int = MOST_STEPS) -> None:
        """Goes on until nothing is under way, or for some steps."""
        for _ in range(steps):
            telling = [name for name, db in self.databases.items() if self._waiting(db)]
            chosen = self.random.randrange(len(self.under_way) + len(telling) or 1)
            if chosen < len(self.under_way):
                self._deliver(self.under_way.pop(chosen))
            elif telling:
                self._relay(telling[chosen - len(self.under_way)])
            else:
                return
        assert steps < MOST_STEPS, f"seed {self.seed}: it never ends: {self.story[-20:]}"

    async def ending(self, order_id: str) -> EndState:
        """What every participant holds in the end."""
        return await read_end_state(_States(self.databases), order_id)

    def steps(self) -> dict[str, str]:
        """What became of each key, in all participants."""
        return {key: state for key, (_, state, *_) in self.rows().items()}

    def rows(self) -> dict[str, tuple[str, ...]]:
        """Everything but the times that stands behind the fences of all participants."""
        return {key: tuple(row) for db in self.databases.values() for key, *row in fence_rows(db)}

    def emissions(self) -> dict[str, int]:
        """How many events each participant has ever put into its outbox."""
        rows = {
            name: db.execute("select seq from sqlite_sequence where name = 'saga_outbox'").fetchone()
            for name, db in self.databases.items()
        }
        return {name: row[0] for name, row in rows.items() if row}

    def _waiting(self, db: sqlite3.Connection) -> bool:
        return db.execute("select 1 from saga_outbox limit 1").fetchone() is not None

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _deliver(self, delivery: Delivery) -> None:
        again = delivery.copies < MOST_COPIES and self._chance(self.weather.twice)
        try:
            handled = self._handle(delivery)
        except Crash as crash:
            self.story.append(f"{delivery}: dies {crash}")
            again = True
        except DeadLetterError as error:
            self.dead.append(f"{delivery}: {error}")
        else:
            self.story.append(f"{delivery}: {'seen before' if handled.is_repeated else 'handled'}")
        if again:
            delivery.copies += 1
            self.under_way.append(delivery)

    def _handle(self, delivery: Delivery) -> Handled:
        name, event = delivery.participant, delivery.event
        reactions, db = self.reactions[name], self.databases[name]
        asked = assignments(reactions, event)
        for each in asked:
            self._hinder(each, Fault.UNAVAILABLE_ONCE)
        dies_at = self.random.choice(tuple(Failpoint)) if self._chance(self.weather.crash) else None

        def fail(failpoint: Failpoint) -> None:
            if failpoint is dies_at:
                raise Crash(failpoint)

        def work(tx: sqlite3.Connection) -> Handled:
            if not self.has_inbox:
                tx.execute("delete from saga_inbox")
            return handle(tx, reactions, event, is_answered=_is_answered, failpoint=fail)

        handled = unit_of_work(db, work)
        self._check_books(name)
        fail(Failpoint.AFTER_COMMIT)
        for each in asked:
            self._hinder(each, Fault.REPLY_LOST)
        return handled

    def _hinder(self, assignment: Assignment, fault: Fault) -> None:
        """The first request of a key fails, if its data says so."""
        what = f"{fault} {assignment.key}"
        if fault_for(assignment.operation, assignment.message) is fault and what not in self.hindered:
            self.hindered.add(what)
            raise Crash(fault)

    def _relay(self, name: str) -> None:
        db = self.databases[name]
        waiting = self.random.choice(outbox.due(db, datetime.now(UTC), limit=100))
        self.told[waiting.event.id] += 1
        hearing = TOPOLOGY.queues.items()
        for participant, heard in hearing:
            if (waiting.event.source, waiting.event.type) in heard:
                self.under_way.append(Delivery(participant, waiting.event))
        if self._chance(self.weather.crash):
            self.story.append(f"{waiting.event.type}: dies after it is published")
            return
        unit_of_work(db, lambda tx: outbox.delete(tx, [waiting.seq]))

    def _check_books(self, name: str) -> None:
        balance = SERVICES[name].balance
        if balance is not None:
            assert balance(self.databases[name])["is_conserved"], f"seed {self.seed}: {self.story[-20:]}"


def fence_rows(db: sqlite3.Connection) -> list[tuple[str, ...]]:
    """Everything but the times that stands behind the fence of one participant."""
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


def fault_for(operation: str, message: BaseModel) -> Fault | None:
    """The fault that the data of a request asks for in any of the services, if any."""
    return payment_fault(operation, message) or shipment_fault(operation, message)


def _is_answered(assignment: Assignment) -> bool:
    return fault_for(assignment.operation, assignment.message) is not Fault.REPLIES_LOST
