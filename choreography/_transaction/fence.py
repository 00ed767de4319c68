"""The fence: one row per idempotency key says what became of an action, in the transaction of its effect.

It is the participant's half of the key contract. An action takes effect at most once per key; a
compensation takes it back once, or, where the action was never seen, leaves a tombstone, so that the
action has no effect when it arrives late. What follows from a row and a request is decided by `decide`,
which is pure; `act`, `compensate` and `void` carry the decision out. Neither knows HTTP, events or async.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto
from hashlib import sha256
from json import dumps, loads
from typing import Literal

from pydantic import BaseModel

from sagas import RejectedError

KEY_REUSE = "key_reuse"
"""The code of a refusal: the key belongs to another operation, or to other content."""
VOIDED = "voided"
"""The code of a refusal: the action came after its compensation, and has no effect."""

SCHEMA = """
create table if not exists saga_step(
  key text primary key,
  action text not null,                     -- the operation that the key belongs to
  state text not null check(state in ('done', 'failed', 'compensated', 'fenced')),
  fingerprint text not null,                -- of the action's content
  answer text,                              -- JSON: the result of an action, or its refusal
  created_at integer not null,              -- milliseconds since 1970
  updated_at integer not null,
  check((state = 'fenced') = (answer is null))
) without rowid, strict;
"""


class State(StrEnum):
    """What became of an action. No row means that neither it nor its compensation was seen."""

    DONE = auto()
    FAILED = auto()
    COMPENSATED = auto()
    FENCED = auto()


class Request(StrEnum):
    """What is asked for a key."""

    ACT = auto()
    COMPENSATE = auto()
    VOID = auto()
    """That the action shall not happen, if it has not happened yet."""


class Match(StrEnum):
    """How a request compares with the one that first used its key."""

    SAME = auto()
    OTHER_CONTENT = auto()
    OTHER_OPERATION = auto()


class Decision(StrEnum):
    """What to do with a request."""

    RUN_ACTION = auto()
    REPEAT_ANSWER = auto()
    RUN_COMPENSATION = auto()
    SET_TOMBSTONE = auto()
    REPEAT_COMPENSATED = auto()
    NOTHING_TO_COMPENSATE = auto()
    TOO_LATE_TO_VOID = auto()
    REFUSE_REUSE = auto()
    REFUSE_VOIDED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as the fence sees it: whose key it is, and what it is about.

    Args:
        action: The name of the operation that the key belongs to, also when it is compensated.
        key: The idempotency key of the action; its compensation carries the same one.
        fingerprint: Of the content, by `fingerprint`.
    """

    action: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The action is done, now or before; its result as JSON."""

    result: str
    is_repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The action has no effect, and never will under this key."""

    code: str
    reason: str
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """Nothing of the action is left, nor will be: whether there was an effect to take back."""

    found: Literal["effect", "nothing"]
    is_repeated: bool


_SAME = {
    (Request.ACT, State.DONE): Decision.REPEAT_ANSWER,
    (Request.ACT, State.FAILED): Decision.REPEAT_ANSWER,
    (Request.ACT, State.COMPENSATED): Decision.REFUSE_VOIDED,
    (Request.ACT, State.FENCED): Decision.REFUSE_VOIDED,
    (Request.COMPENSATE, State.DONE): Decision.RUN_COMPENSATION,
    (Request.COMPENSATE, State.FAILED): Decision.NOTHING_TO_COMPENSATE,
    (Request.COMPENSATE, State.COMPENSATED): Decision.REPEAT_COMPENSATED,
    (Request.COMPENSATE, State.FENCED): Decision.NOTHING_TO_COMPENSATE,
    (Request.VOID, State.DONE): Decision.TOO_LATE_TO_VOID,
    (Request.VOID, State.FAILED): Decision.TOO_LATE_TO_VOID,
    (Request.VOID, State.COMPENSATED): Decision.TOO_LATE_TO_VOID,
    (Request.VOID, State.FENCED): Decision.NOTHING_TO_COMPENSATE,
}
"""What a request comes to that says the same as the first use of its key."""


def fingerprint(message: BaseModel) -> str:
    """The same for two messages if and only if they say the same.

    Values that equal their default are left out, so that a new field with a default does not make
    another message of one that is retried across a deployment.
    """
    content = message.model_dump(mode="json", exclude_defaults=True)
    return sha256(dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def decide(state: State | None, request: Request, match: Match) -> Decision:
    """The key contract, as a table: what a request comes to, given what became of its key.

    Args:
        state: Of the row; `None` if the key was never seen.
        request: What is asked.
        match: How it compares with the first use of the key; of no meaning if there was none.
    """
    if state is None:
        return Decision.RUN_ACTION if request is Request.ACT else Decision.SET_TOMBSTONE
    decision = _SAME[request, state]
    if match is Match.OTHER_OPERATION:
        return Decision.REFUSE_REUSE
    # An action that came too late is told so, whatever it says.
    if match is Match.OTHER_CONTENT and decision is not Decision.REFUSE_VOIDED:
        return Decision.REFUSE_REUSE
    return decision


def act(tx: sqlite3.Connection, call: Call, run: Callable[[], str], *, now: datetime) -> Done | Refused:
    """Runs the business code of an action if its key was never seen, else says what became of it.

    Args:
        tx: A connection in a transaction; its commit commits effect and answer together.
        call: The request.
        run: The business code; returns its result as JSON, or raises `RejectedError`, after which
            nothing of what it wrote is left.
        now: For the record; nothing is decided by it.
    """
    row = _find(tx, call)
    match decide(row.state if row else None, Request.ACT, row.match if row else Match.SAME):
        case Decision.RUN_ACTION:
            return _run_action(tx, call, run, now)
        case Decision.REPEAT_ANSWER if row is not None and row.answer is not None:
            if row.state is State.DONE:
                return Done(result=row.answer, is_repeated=True)
            return Refused(**loads(row.answer))
        case Decision.REFUSE_VOIDED:
            return Refused(code=VOIDED, reason=f"{call.action} was compensated before it arrived")
        case Decision.REFUSE_REUSE if row is not None:
            return _reused(call, row)
        case decision:
            raise AssertionError(f"an action cannot come to {decision}")


def compensate(
    tx: sqlite3.Connection, call: Call, run: Callable[[], None], *, now: datetime
) -> TakenBack | Refused:
    """Runs the business code of a compensation if its action is done, and closes the key for good.

    Args:
        tx: A connection in a transaction.
        call: The request, with the operation and the key of the *action*.
        run: The business code; whatever it raises rolls the transaction back.
        now: For the record; nothing is decided by it.

    Returns:
        What was found; `Refused` only if the key belongs to another operation or other content.
    """
    row = _find(tx, call)
    match decide(row.state if row else None, Request.COMPENSATE, row.match if row else Match.SAME):
        case Decision.RUN_COMPENSATION:
            run()
            tx.execute(
                "update saga_step set state = ?, updated_at = ? where key = ?",
                (State.COMPENSATED, _milliseconds(now), call.key),
            )
            return TakenBack(found="effect", is_repeated=False)
        case Decision.SET_TOMBSTONE:
            _insert(tx, call, State.FENCED, None, now)
            return TakenBack(found="nothing", is_repeated=False)
        case Decision.REPEAT_COMPENSATED:
            return TakenBack(found="effect", is_repeated=True)
        case Decision.NOTHING_TO_COMPENSATE:
            return TakenBack(found="nothing", is_repeated=True)
        case Decision.REFUSE_REUSE if row is not None:
            return _reused(call, row)
        case decision:
            raise AssertionError(f"a compensation cannot come to {decision}")


def void(tx: sqlite3.Connection, call: Call, *, now: datetime) -> bool:
    """Sees to it that an action that was never seen has no effect when it comes; touches no other.

    It is how the owner of a pivot withdraws it: a pivot has no compensation.

    Returns:
        Whether a tombstone stands, and not an effect, a refusal, or an action of other content.
    """
    row = _find(tx, call)
    match decide(row.state if row else None, Request.VOID, row.match if row else Match.SAME):
        case Decision.SET_TOMBSTONE:
            _insert(tx, call, State.FENCED, None, now)
            return True
        case Decision.NOTHING_TO_COMPENSATE:
            return True
        case _:
            return False


@dataclass(frozen=True, slots=True)
class _Row:
    action: str
    state: State
    match: Match
    answer: str | None


def _find(tx: sqlite3.Connection, call: Call) -> _Row | None:
    found = tx.execute(
        "select action, state, fingerprint, answer from saga_step where key = ?", (call.key,)
    ).fetchone()
    if found is None:
        return None
    action, state, content, answer = found
    if action != call.action:
        match = Match.OTHER_OPERATION
    else:
        match = Match.SAME if content == call.fingerprint else Match.OTHER_CONTENT
    return _Row(action, State(state), match, answer)


def _run_action(tx: sqlite3.Connection, call: Call, run: Callable[[], str], now: datetime) -> Done | Refused:
    tx.execute("savepoint business")
    try:
        result = run()
    except RejectedError as error:
        tx.execute("rollback to business")
        refused = Refused(code=error.code, reason=error.reason, field=error.field)
        answer = {"code": error.code, "reason": error.reason, "field": error.field}
        _insert(tx, call, State.FAILED, dumps(answer), now)
        return refused
    finally:
        # On any other error the whole transaction is given up; some of them have ended it already.
        if tx.in_transaction:
            tx.execute("release business")
    _insert(tx, call, State.DONE, result, now)
    return Done(result=result, is_repeated=False)


def _insert(tx: sqlite3.Connection, call: Call, state: State, answer: str | None, now: datetime) -> None:
    at = _milliseconds(now)
    tx.execute(
        "insert into saga_step(key, action, state, fingerprint, answer, created_at, updated_at)"
        " values(?, ?, ?, ?, ?, ?, ?)",
        (call.key, call.action, state, call.fingerprint, answer, at, at),
    )


def _reused(call: Call, row: _Row) -> Refused:
    belongs = "other content" if row.match is Match.OTHER_CONTENT else f"operation {row.action!r}"
    return Refused(
        code=KEY_REUSE,
        reason=f"the idempotency key {call.key!r} was used before for {belongs}; every step has its own key",
    )


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
