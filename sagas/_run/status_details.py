"""The details of a saga in Temporal's Web UI: status, table of steps, audit trail, in Markdown."""

from collections.abc import Mapping
from datetime import datetime

from .._core.compensation import OnStuck, flatten, waiting_behind
from .._core.ids import CONFIRM
from .._core.ledger import LedgerEntry
from .._core.outcome import Outcome
from .._core.purpose import Purpose
from .._wire.error_text import text_of
from .scope import Scope

FAILING = "**keeps failing**"

_OUTCOMES = {
    Outcome.STARTED: "… under way",
    Outcome.DONE: "✓ done",
    Outcome.REJECTED: "✗ rejected",
    Outcome.UNKNOWN: "? unknown",
    Outcome.WITHDRAWN: "withdrawn",
}


def render_details(scope: Scope) -> str:
    """The state of a saga as Markdown."""
    lifecycle = scope.lifecycle
    plan = scope.ledger.plan(is_past_pivot=lifecycle.is_past_pivot)
    pending = dict.fromkeys((each.address for each in flatten(plan)), "")
    if scope.ledger.on_stuck is OnStuck.WAIT and lifecycle.has_compensated:
        pending |= waiting_behind(plan, lifecycle.stuck_steps) | scope.ledger.behind_children()
    rows = [
        f"| {_name(entry)} | {_action(scope, entry)} | {_compensation(scope, entry, pending)} |"
        for entry in scope.ledger.entries.values()
    ]
    note = f": {scope.publisher.note}" if scope.publisher.note else ""
    audit = [
        f"- {datetime.fromisoformat(e.at):%Y-%m-%d %H:%M:%S} {e.words} by {e.by}: {e.because}"
        for e in scope.audit_trail
    ]
    table = [
        f"**{lifecycle.status}**{note}",
        "",
        "| step | action | compensation |",
        "|---|---|---|",
        *rows,
        "",
        *audit,
    ]
    approvals = [f"waits for approval {name!r} by {role}" for name, role in scope.awaited_approvals.items()]
    return text_of("\n- ".join(["\n".join(table).rstrip(), *approvals, *scope.reports]))


def _name(entry: LedgerEntry) -> str:
    return "/".join((*(section.address for section in entry.sections), entry.address))


def _action(scope: Scope, entry: LedgerEntry) -> str:
    stuck = scope.lifecycle.stuck_steps.get(entry.address)
    is_failing = stuck is not None and stuck.purpose is not Purpose.COMPENSATION
    if is_failing:
        return f"{_OUTCOMES[entry.outcome]}, {FAILING}"
    addresses = [confirmation.address for confirmation in entry.confirmations]
    if any(f"{CONFIRM}{address}" in scope.lifecycle.stuck_steps for address in addresses):
        return f"{_OUTCOMES[entry.outcome]}, confirmation {FAILING}"
    is_confirmed = addresses and scope.ledger.confirmed.issuperset(addresses)
    return f"{_OUTCOMES[entry.outcome]}, confirmed" if is_confirmed else _OUTCOMES[entry.outcome]


def _compensation(scope: Scope, entry: LedgerEntry, pending: Mapping[str, str]) -> str:
    """The progress of the compensations of an entry.

    Args:
        scope: The saga.
        entry: The entry.
        pending: The pending compensations; a waiting one with the failing one before, else an empty text.
    """
    addresses = [compensation.address for compensation in flatten(entry.compensations)]
    stuck = scope.lifecycle.stuck_steps
    if any(
        address in stuck and stuck[address].purpose is Purpose.COMPENSATION
        for address in (entry.address, *addresses)
    ):
        return FAILING
    done = sum(address in scope.ledger.compensated for address in addresses)
    if done and done == len(addresses):
        return "✓ compensated"
    if not any(address in pending for address in addresses) or not scope.lifecycle.has_compensated:
        return ""
    behind = next((pending[address] for address in addresses if pending.get(address)), "")
    progress = f"pending, {done} of {len(addresses)} done" if done else "pending"
    return f"{progress}, waits for {behind}" if behind else progress
