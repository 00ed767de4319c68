"""The idempotency-key contract of a participant, shown on a minimal participant: a counter."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel

from choreography import (
    KEY_REUSE,
    VOIDED,
    ContractError,
    OperationHandler,
    OperationRequest,
    Participant,
    build_schema,
)
from choreography._transaction.database import open_connection, run_in_transaction
from choreography._transaction.fence import OperationRejected, fingerprint
from choreography._transaction.operation_executor import OperationDone, OperationExecutor, OperationOutcome
from sagas import Operation, RejectedError


class Add(BaseModel):
    amount: int
    note: str = ""


class Added(BaseModel):
    total: int


class Subtracted(BaseModel):
    found: Literal["effect", "nothing"]


add_amount = Operation(
    name="add-amount",
    participant="counter",
    message=Add,
    result=Added,
    rejections=frozenset({"negative"}),
)
subtract_amount = Operation(name="subtract-amount", participant="counter", message=Add, result=Subtracted)
peek = Operation(name="peek", participant="counter", message=Add, result=Added)


def add(tx: sqlite3.Connection, command: Add, key: str) -> Added:
    tx.execute("insert into addition(key, amount) values(?, ?)", (key, command.amount))
    if command.amount == 13:
        raise OSError("the disk is on fire")
    if command.amount == -13:
        raise RejectedError("undeclared", "a code outside of the declared rejections")
    if command.amount < 0:
        raise RejectedError("negative", "only up", "amount")
    (total,) = tx.execute("select sum(amount) from addition").fetchone()
    return Added(total=total)


def subtract(tx: sqlite3.Connection, command: Add, key: str) -> None:
    tx.execute("delete from addition where key = ?", (key,))
    if command.amount == 666:
        raise RejectedError("negative", "a compensation must not reject")


def look(tx: sqlite3.Connection, command: Add, key: str) -> Added:
    return Added(total=0)


COUNTER = Participant(
    name="counter",
    tables="create table if not exists addition(key text not null, amount integer not null) strict;",
    handlers=(
        OperationHandler(add_amount, add).compensated_by(subtract_amount, subtract),
        OperationHandler(peek, look),
    ),
)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = open_connection(":memory:", schema=build_schema(COUNTER))
    yield connection
    connection.close()


def execute(
    db: sqlite3.Connection, operation: str, amount: int, key: str = "k", note: str = ""
) -> OperationOutcome:
    message = Add(amount=amount, note=note)
    request = OperationRequest(operation=operation, message=message, key=key)
    return run_in_transaction(db, lambda tx: OperationExecutor(COUNTER).execute(tx, request))


def effects(db: sqlite3.Connection) -> list[int]:
    return [amount for (amount,) in db.execute("select amount from addition order by rowid")]


def fence_rows(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return db.execute("select key, action, state from saga_step order by key").fetchall()


def test_an_action_takes_effect_once_and_its_result_is_stored(db: sqlite3.Connection) -> None:
    """The second request of a key gets the first result, even after other changes."""
    first = execute(db, "add-amount", 5)
    execute(db, "add-amount", 7, key="other")
    again = execute(db, "add-amount", 5)
    assert first == OperationDone(result=Added(total=5), is_repeated=False)
    assert again == OperationDone(result=Added(total=5), is_repeated=True)
    assert effects(db) == [5, 7]


def test_a_rejection_is_final_and_leaves_no_effect(db: sqlite3.Connection) -> None:
    """The writes of the business code are rolled back, and a second request gets the same rejection."""
    rejected = OperationRejected(code="negative", reason="only up", field="amount")
    assert execute(db, "add-amount", -1) == rejected
    assert execute(db, "add-amount", -1) == rejected
    assert effects(db) == []
    assert fence_rows(db) == [("k", "add-amount", "rejected")]


def test_an_unexpected_error_leaves_the_key_unused(db: sqlite3.Connection) -> None:
    """Another error commits neither effect nor row, so the next attempt is a first attempt."""
    with pytest.raises(OSError, match="on fire"):
        execute(db, "add-amount", 13)
    assert effects(db) == []
    assert fence_rows(db) == []
    assert isinstance(execute(db, "add-amount", 5), OperationDone)


def test_an_undeclared_rejection_is_a_contract_error(db: sqlite3.Connection) -> None:
    """Callers would treat the rejection as an unknown outcome, so nothing is committed."""
    with pytest.raises(ContractError, match="undeclared"):
        execute(db, "add-amount", -13)
    assert fence_rows(db) == []


@pytest.mark.parametrize("amount", [5, -1])
def test_a_key_with_other_content_is_rejected(db: sqlite3.Connection, amount: int) -> None:
    """A key stands for one step; other content is neither applied nor answered with the stored result."""
    execute(db, "add-amount", amount)
    before = effects(db), fence_rows(db)
    rejected = execute(db, "add-amount", 6)
    assert isinstance(rejected, OperationRejected)
    assert rejected.code == KEY_REUSE
    assert (effects(db), fence_rows(db)) == before


def test_a_key_of_another_operation_is_rejected(db: sqlite3.Connection) -> None:
    """Two steps never share a key, even with equal content."""
    execute(db, "add-amount", 5)
    rejected = execute(db, "peek", 5)
    assert isinstance(rejected, OperationRejected)
    assert rejected.code == KEY_REUSE


def test_a_compensation_takes_effect_once(db: sqlite3.Connection) -> None:
    """A second request gets the same answer; a repeated action is rejected as voided."""
    execute(db, "add-amount", 5)
    first = execute(db, "subtract-amount", 5)
    again = execute(db, "subtract-amount", 5)
    late = execute(db, "add-amount", 5)
    assert first == OperationDone(result=Subtracted(found="effect"), is_repeated=False)
    assert again == OperationDone(result=Subtracted(found="effect"), is_repeated=True)
    assert isinstance(late, OperationRejected)
    assert late.code == VOIDED
    assert effects(db) == []
    assert fence_rows(db) == [("k", "add-amount", "compensated")]


@pytest.mark.parametrize("late_amount", [5, 6])
def test_a_compensation_before_its_action_voids_the_action(db: sqlite3.Connection, late_amount: int) -> None:
    """The tombstone rejects the late action with any content, and the compensation finds no effect."""
    first = execute(db, "subtract-amount", 5)
    late = execute(db, "add-amount", late_amount)
    again = execute(db, "subtract-amount", 5)
    assert first == OperationDone(result=Subtracted(found="nothing"), is_repeated=False)
    assert isinstance(late, OperationRejected)
    assert late.code == VOIDED
    assert again == OperationDone(result=Subtracted(found="nothing"), is_repeated=True)
    assert effects(db) == []
    assert fence_rows(db) == [("k", "add-amount", "voided")]


def test_a_rejected_action_has_nothing_to_compensate(db: sqlite3.Connection) -> None:
    """The compensation is done, and the action stays rejected."""
    execute(db, "add-amount", -1)
    assert execute(db, "subtract-amount", -1) == OperationDone(
        result=Subtracted(found="nothing"), is_repeated=True
    )
    assert isinstance(execute(db, "add-amount", -1), OperationRejected)
    assert effects(db) == []


def test_a_rejecting_compensation_is_a_contract_error(db: sqlite3.Connection) -> None:
    """No business rule may prevent a compensation: the code is wrong, and the effect stays."""
    execute(db, "add-amount", 666)
    with pytest.raises(ContractError, match="must not reject"):
        execute(db, "subtract-amount", 666)
    assert effects(db) == [666]
    assert fence_rows(db) == [("k", "add-amount", "done")]


def test_a_compensation_with_other_content_is_rejected(db: sqlite3.Connection) -> None:
    """The request would compensate another action."""
    execute(db, "add-amount", 5)
    rejected = execute(db, "subtract-amount", 6)
    assert isinstance(rejected, OperationRejected)
    assert rejected.code == KEY_REUSE
    assert effects(db) == [5]


def test_a_new_field_with_a_default_keeps_the_fingerprint() -> None:
    """A retry across a deployment that added the field is the same request."""

    class NewAdd(Add):
        currency: str = "EUR"

    assert fingerprint(NewAdd(amount=5)) == fingerprint(Add(amount=5))
    assert fingerprint(NewAdd(amount=5, currency="USD")) != fingerprint(Add(amount=5))


def test_the_order_of_fields_does_not_change_the_fingerprint() -> None:
    """The fingerprint depends on the content, not on its notation."""

    class Reordered(BaseModel):
        note: str = ""
        amount: int

    assert fingerprint(Reordered(amount=5, note="x")) == fingerprint(Add(amount=5, note="x"))


class Tagged(BaseModel):
    """A message with sets, nested and at the top."""

    tags: frozenset[str]
    groups: dict[str, tuple[set[str], int]] = {}


TAGS = ("green", "black", "white", "herbal")
PRINT_FINGERPRINT = """
from choreography._transaction.fence import fingerprint
from tests.contract.test_idempotency_key_contract import TAGS, Tagged
print(fingerprint(Tagged(tags=TAGS, groups={"teas": (set(TAGS), 1)})))
"""


def test_each_process_computes_the_same_fingerprint_of_a_set() -> None:
    """Python orders the members of a set by a seed of the process; a retry may arrive at another process."""
    fingerprints = {
        subprocess.run(
            [sys.executable, "-c", PRINT_FINGERPRINT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3", "4")
    }

    assert len(fingerprints) == 1


def test_a_list_keeps_its_order_in_the_fingerprint() -> None:
    """The members of a list are different content in another order."""

    class Listed(BaseModel):
        tags: list[str]

    assert fingerprint(Listed(tags=["a", "b"])) != fingerprint(Listed(tags=["b", "a"]))
