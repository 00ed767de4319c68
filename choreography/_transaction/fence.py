"""The fence: a row per idempotency key holds the state of an action, in the transaction of the effect.

The fence is the participant's half of the idempotency-key contract (Seata: fence; DTM: barrier). An action
takes effect at most once per key. A compensation takes effect at most once per action; a compensation
before the action leaves a tombstone, and the late action has no effect. `decide` (fence_decision.py) chooses,
`act`, `compensate` and `void` execute the decision.
"""

import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from json import dumps, loads
from typing import Literal, cast

from pydantic import BaseModel, JsonValue

from sagas import RejectedError

from .database import to_milliseconds
from .fence_decision import FenceDecision, KeyState, Match, RequestKind, decide

KEY_REUSE = "key_reuse"
"""The rejection code of a key that was used before for another operation or other content."""
VOIDED = "voided"
"""The rejection code of an action that arrived after its compensation and has no effect."""

SCHEMA = """
create table if not exists saga_step(
  key text primary key,
  action text not null,                     -- the operation of the key
  state text not null check(state in ('done', 'rejected', 'compensated', 'voided')),
  fingerprint text not null,                -- of the action's content
  outcome text,                             -- JSON: the result or the rejection of the action
  created_at integer not null,              -- milliseconds since 1970
  updated_at integer not null,
  check((state = 'voided') = (outcome is null))
) without rowid, strict;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceRequest:
    """A request at the fence.

    Args:
        action: The name of the key's action, also for a request to compensate or void.
        key: The idempotency key of the action.
        fingerprint: The fingerprint of the message (see `fingerprint`).
    """

    action: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResult:
    """The result of a done action as JSON; `is_repeated` when the action ran for an earlier request."""

    result: str
    is_repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRejected:
    """The operation was rejected: the operation has no effect under this key, now and later.

    Args:
        code: Why, for programs: `KEY_REUSE`, `VOIDED`, or a declared code of the operation.
        reason: Why, for people.
        field: The invalid field of the message, if any.
    """

    code: str
    reason: str
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompensationDone:
    """No effect of the action is left; `found` says whether there was an effect to compensate."""

    found: Literal["effect", "nothing"]
    is_repeated: bool


def fingerprint(message: BaseModel) -> str:
    """Computes the same text for two messages if and only if their content is equal.

    Fields with their default value are left out: a message that is retried across a deployment keeps its
    fingerprint when the model gets a new field with a default.
    """
    content = message.model_dump(mode="json", exclude_defaults=True)
    ordered = _with_ordered_sets(content, message.model_dump(exclude_defaults=True))
    return sha256(dumps(ordered, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _with_ordered_sets(content: JsonValue, value: object) -> JsonValue:
    """JSON content with the members of sets in one order: each process orders the members differently.

    Args:
        content: The value in the types of JSON.
        value: The value in the types of Python; a custom serializer may give another structure.
    """
    if isinstance(content, dict) and isinstance(value, dict):
        fields = list(cast("dict[object, object]", value).values())
        if len(fields) == len(content):
            pairs = zip(content.items(), fields, strict=True)
            return {key: _with_ordered_sets(each, original) for (key, each), original in pairs}
    if isinstance(content, list) and isinstance(value, (list, tuple, set, frozenset)):
        originals = list(cast("Collection[object]", value))
        if len(originals) == len(content):
            members = [_with_ordered_sets(*pair) for pair in zip(content, originals, strict=True)]
            return sorted(members, key=dumps) if isinstance(value, (set, frozenset)) else members
    return content


def act(
    tx: sqlite3.Connection, request: FenceRequest, run: Callable[[], str], *, now: datetime
) -> StoredResult | OperationRejected:
    """Runs the business code of an action for a new key; otherwise repeats the stored outcome.

    Args:
        tx: A connection in a transaction; effect and outcome commit together.
        request: The request.
        run: The business code; returns the result as JSON, or raises `RejectedError`; a rejection rolls back
            every write of the code.
        now: The time that is stored in the row.
    """
    row = _find_row(tx, request)
    match decide(row.state if row else None, RequestKind.ACT, row.match if row else Match.SAME):
        case FenceDecision.RUN_ACTION:
            return _run_action(tx, request, run, now)
        case FenceDecision.REPEAT_OUTCOME if row is not None and row.outcome is not None:
            if row.state is KeyState.DONE:
                return StoredResult(result=row.outcome, is_repeated=True)
            return OperationRejected(**loads(row.outcome))
        case FenceDecision.REJECT_VOIDED:
            return OperationRejected(
                code=VOIDED, reason=f"action {request.action!r} arrived after its compensation"
            )
        case FenceDecision.REJECT_REUSE if row is not None:
            return _reject_reuse(request, row)
        case decision:
            raise AssertionError(f"an action cannot lead to {decision}")


def compensate(
    tx: sqlite3.Connection, request: FenceRequest, run: Callable[[], None], *, now: datetime
) -> CompensationDone | OperationRejected:
    """Runs the business code of a compensation for a done action; the action has no effect afterwards.

    Args:
        tx: A connection in a transaction.
        request: The request, with name and key of the *action*.
        run: The business code; an exception rolls back the whole transaction.
        now: The time that is stored in the row.

    Returns:
        `OperationRejected` only if the key belongs to another operation or other content.
    """
    row = _find_row(tx, request)
    match decide(row.state if row else None, RequestKind.COMPENSATE, row.match if row else Match.SAME):
        case FenceDecision.RUN_COMPENSATION:
            run()
            tx.execute(
                "update saga_step set state = ?, updated_at = ? where key = ?",
                (KeyState.COMPENSATED, to_milliseconds(now), request.key),
            )
            return CompensationDone(found="effect", is_repeated=False)
        case FenceDecision.SET_TOMBSTONE:
            _insert(tx, request, KeyState.VOIDED, None, now)
            return CompensationDone(found="nothing", is_repeated=False)
        case FenceDecision.REPEAT_COMPENSATED:
            return CompensationDone(found="effect", is_repeated=True)
        case FenceDecision.NOTHING_TO_COMPENSATE:
            return CompensationDone(found="nothing", is_repeated=True)
        case FenceDecision.REJECT_REUSE if row is not None:
            return _reject_reuse(request, row)
        case decision:
            raise AssertionError(f"a compensation cannot lead to {decision}")


def void(tx: sqlite3.Connection, request: FenceRequest, *, now: datetime) -> bool:
    """Prevents an action that has not arrived; the owner of a pivot uses `void` in place of a compensation.

    Returns:
        Whether a tombstone stands: false when the action was executed, was rejected, or had other content.
    """
    row = _find_row(tx, request)
    match decide(row.state if row else None, RequestKind.VOID, row.match if row else Match.SAME):
        case FenceDecision.SET_TOMBSTONE:
            _insert(tx, request, KeyState.VOIDED, None, now)
            return True
        case FenceDecision.NOTHING_TO_COMPENSATE:
            return True
        case _:
            return False


@dataclass(frozen=True, slots=True)
class _Row:
    action: str
    state: KeyState
    match: Match
    outcome: str | None


def _find_row(tx: sqlite3.Connection, request: FenceRequest) -> _Row | None:
    found = tx.execute(
        "select action, state, fingerprint, outcome from saga_step where key = ?", (request.key,)
    ).fetchone()
    if found is None:
        return None
    action, state, content, outcome = found
    if action != request.action:
        match = Match.OTHER_OPERATION
    else:
        match = Match.SAME if content == request.fingerprint else Match.OTHER_CONTENT
    return _Row(action, KeyState(state), match, outcome)


def _run_action(
    tx: sqlite3.Connection, request: FenceRequest, run: Callable[[], str], now: datetime
) -> StoredResult | OperationRejected:
    tx.execute("savepoint business")
    try:
        result = run()
    except RejectedError as error:
        tx.execute("rollback to business")
        outcome = {"code": error.code, "reason": error.reason, "field": error.field}
        _insert(tx, request, KeyState.REJECTED, dumps(outcome), now)
        return OperationRejected(code=error.code, reason=error.reason, field=error.field)
    finally:
        # Any other error rolls back the whole transaction; some errors have ended the transaction already.
        if tx.in_transaction:
            tx.execute("release business")
    _insert(tx, request, KeyState.DONE, result, now)
    return StoredResult(result=result, is_repeated=False)


def _insert(
    tx: sqlite3.Connection, request: FenceRequest, state: KeyState, outcome: str | None, now: datetime
) -> None:
    at = to_milliseconds(now)
    tx.execute(
        "insert into saga_step(key, action, state, fingerprint, outcome, created_at, updated_at)"
        " values(?, ?, ?, ?, ?, ?, ?)",
        (request.key, request.action, state, request.fingerprint, outcome, at, at),
    )


def _reject_reuse(request: FenceRequest, row: _Row) -> OperationRejected:
    first_use = "other content" if row.match is Match.OTHER_CONTENT else f"operation {row.action!r}"
    return OperationRejected(
        code=KEY_REUSE,
        reason=(
            f"the idempotency key {request.key!r} was used before for {first_use}; every step has its own key"
        ),
    )
