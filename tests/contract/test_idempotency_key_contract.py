"""The key contract, on a participant as small as can be: a counter."""

import sqlite3
from collections.abc import Iterator
from typing import Literal

import pytest
from pydantic import BaseModel

from choreography import (
    KEY_REUSE,
    VOIDED,
    Answer,
    ContractError,
    Handles,
    Participant,
    Refused,
    connect,
    unit_of_work,
)
from choreography._transaction.fence import fingerprint
from sagas import Operation, RejectedError


class Add(BaseModel):
    amount: int
    note: str = ""


class Added(BaseModel):
    total: int


class TakenBack(BaseModel):
    found: Literal["effect", "nothing"]


add_amount = Operation(
    name="add-amount",
    participant="counter",
    message=Add,
    result=Added,
    rejections=frozenset({"negative"}),
)
subtract_amount = Operation(name="subtract-amount", participant="counter", message=Add, result=TakenBack)
peek = Operation(name="peek", participant="counter", message=Add, result=Added)


def add(tx: sqlite3.Connection, command: Add, key: str) -> Added:
    tx.execute("insert into addition(key, amount) values(?, ?)", (key, command.amount))
    if command.amount == 13:
        raise OSError("the disk is on fire")
    if command.amount == -13:
        raise RejectedError("undeclared", "nobody said that this can happen")
    if command.amount < 0:
        raise RejectedError("negative", "only up", "amount")
    (total,) = tx.execute("select sum(amount) from addition").fetchone()
    return Added(total=total)


def subtract(tx: sqlite3.Connection, command: Add, key: str) -> None:
    tx.execute("delete from addition where key = ?", (key,))
    if command.amount == 666:
        raise RejectedError("negative", "a compensation must not refuse")


def look(tx: sqlite3.Connection, command: Add, key: str) -> Added:
    return Added(total=0)


COUNTER = Participant(
    name="counter",
    tables="create table if not exists addition(key text not null, amount integer not null) strict;",
    handles=(Handles(add_amount, add).compensated_by(subtract_amount, subtract), Handles(peek, look)),
)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = connect(":memory:", schema=COUNTER.schema)
    yield connection
    connection.close()


def ask(
    db: sqlite3.Connection, operation: str, amount: int, key: str = "k", note: str = ""
) -> Answer | Refused:
    message = Add(amount=amount, note=note)
    return unit_of_work(db, lambda tx: COUNTER.carry_out(tx, operation, message, key))


def effects(db: sqlite3.Connection) -> list[int]:
    return [amount for (amount,) in db.execute("select amount from addition order by rowid")]


def steps(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return db.execute("select key, action, state from saga_step order by key").fetchall()


def test_an_action_takes_effect_once_and_its_answer_is_kept(db: sqlite3.Connection) -> None:
    """The second request of a key gets the first one's answer, even if the world has moved on."""
    first = ask(db, "add-amount", 5)
    ask(db, "add-amount", 7, key="other")
    again = ask(db, "add-amount", 5)
    assert first == Answer(result=Added(total=5), is_repeated=False)
    assert again == Answer(result=Added(total=5), is_repeated=True)
    assert effects(db) == [5, 7]


def test_a_refusal_is_final_and_leaves_no_effect(db: sqlite3.Connection) -> None:
    """What the business code wrote before it refused is gone, and the refusal is given again."""
    refused = Refused(code="negative", reason="only up", field="amount")
    assert ask(db, "add-amount", -1) == refused
    assert ask(db, "add-amount", -1) == refused
    assert effects(db) == []
    assert steps(db) == [("k", "add-amount", "failed")]


def test_an_unexpected_error_leaves_the_key_unused(db: sqlite3.Connection) -> None:
    """An error that is not a refusal commits neither effect nor row, so that another try is a first try."""
    with pytest.raises(OSError, match="on fire"):
        ask(db, "add-amount", 13)
    assert effects(db) == []
    assert steps(db) == []
    assert isinstance(ask(db, "add-amount", 5), Answer)


def test_a_refusal_that_the_operation_does_not_declare_is_a_fault(db: sqlite3.Connection) -> None:
    """Callers would take it for an unknown outcome, so it is no answer and commits nothing."""
    with pytest.raises(ContractError, match="undeclared"):
        ask(db, "add-amount", -13)
    assert steps(db) == []


@pytest.mark.parametrize("amount", [5, -1])
def test_a_key_with_other_content_is_refused(db: sqlite3.Connection, amount: int) -> None:
    """A key stands for one step; other content under it is neither applied nor answered from the past."""
    ask(db, "add-amount", amount)
    before = effects(db), steps(db)
    refused = ask(db, "add-amount", 6)
    assert isinstance(refused, Refused)
    assert refused.code == KEY_REUSE
    assert (effects(db), steps(db)) == before


def test_a_key_of_another_operation_is_refused(db: sqlite3.Connection) -> None:
    """Two steps never share a key, even if they say the same."""
    ask(db, "add-amount", 5)
    refused = ask(db, "peek", 5)
    assert isinstance(refused, Refused)
    assert refused.code == KEY_REUSE


def test_a_compensation_takes_the_effect_back_once(db: sqlite3.Connection) -> None:
    """Its second request gets the same answer; the action that arrives late again is void."""
    ask(db, "add-amount", 5)
    first = ask(db, "subtract-amount", 5)
    again = ask(db, "subtract-amount", 5)
    late = ask(db, "add-amount", 5)
    assert first == Answer(result=TakenBack(found="effect"), is_repeated=False)
    assert again == Answer(result=TakenBack(found="effect"), is_repeated=True)
    assert isinstance(late, Refused)
    assert late.code == VOIDED
    assert effects(db) == []
    assert steps(db) == [("k", "add-amount", "compensated")]


@pytest.mark.parametrize("late_amount", [5, 6])
def test_a_compensation_before_its_action_keeps_the_action_out(
    db: sqlite3.Connection, late_amount: int
) -> None:
    """The tombstone refuses the late action, whatever it says, and the compensation finds nothing."""
    first = ask(db, "subtract-amount", 5)
    late = ask(db, "add-amount", late_amount)
    again = ask(db, "subtract-amount", 5)
    assert first == Answer(result=TakenBack(found="nothing"), is_repeated=False)
    assert isinstance(late, Refused)
    assert late.code == VOIDED
    assert again == Answer(result=TakenBack(found="nothing"), is_repeated=True)
    assert effects(db) == []
    assert steps(db) == [("k", "add-amount", "fenced")]


def test_a_refused_action_has_nothing_to_compensate(db: sqlite3.Connection) -> None:
    """The compensation is answered, and the action stays refused."""
    ask(db, "add-amount", -1)
    assert ask(db, "subtract-amount", -1) == Answer(result=TakenBack(found="nothing"), is_repeated=True)
    assert isinstance(ask(db, "add-amount", -1), Refused)
    assert effects(db) == []


def test_a_compensation_that_refuses_is_a_fault_and_changes_nothing(db: sqlite3.Connection) -> None:
    """There is no business reason not to compensate: the code is wrong, and the effect is still there."""
    ask(db, "add-amount", 666)
    with pytest.raises(ContractError, match="must not refuse"):
        ask(db, "subtract-amount", 666)
    assert effects(db) == [666]
    assert steps(db) == [("k", "add-amount", "done")]


def test_a_compensation_with_other_content_is_refused(db: sqlite3.Connection) -> None:
    """It would be the compensation of another action."""
    ask(db, "add-amount", 5)
    refused = ask(db, "subtract-amount", 6)
    assert isinstance(refused, Refused)
    assert refused.code == KEY_REUSE
    assert effects(db) == [5]


def test_a_new_field_with_a_default_does_not_make_another_message() -> None:
    """A retry across a deployment that added such a field is still the same request."""

    class NewAdd(Add):
        currency: str = "EUR"

    assert fingerprint(NewAdd(amount=5)) == fingerprint(Add(amount=5))
    assert fingerprint(NewAdd(amount=5, currency="USD")) != fingerprint(Add(amount=5))


def test_the_order_of_fields_does_not_make_another_message() -> None:
    """The fingerprint is of what is said, not of how it is written."""

    class Turned(BaseModel):
        note: str = ""
        amount: int

    assert fingerprint(Turned(amount=5, note="x")) == fingerprint(Add(amount=5, note="x"))
