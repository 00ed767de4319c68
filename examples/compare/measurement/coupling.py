"""The coupling of services in each style: lines of integration code, and dependencies."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from examples.order.deployment import REACTIONS
from examples.order.worker import OPERATIONS

from .figures import IntegrationFile

ROOT = Path(__file__).resolve().parents[3]

EVENT_TYPES = "event_types"
"""The name of the modules with event types."""

Dependencies = dict[str, dict[str, tuple[str, ...]]]
"""Per process, per service: the called operations, or the consumed event types."""


@dataclass(frozen=True, slots=True)
class IntegrationCode:
    """A source file with integration code.

    Args:
        file: The path from the root of the project.
        only: The top-level names of the integration code, in a file with business code;
            imports of event types count with them. Empty: the whole file.
    """

    file: str
    only: tuple[str, ...] = ()


INTEGRATION_CODE = {
    "orchestrated": (
        IntegrationCode("examples/order/saga.py"),
        IntegrationCode("examples/payment/saga.py"),
        IntegrationCode("examples/order/worker.py"),
        IntegrationCode("examples/stack/worker_process.py"),
    ),
    "choreographed": (
        IntegrationCode("examples/order/event_types.py"),
        IntegrationCode("examples/order/services/orders.py", ("REACTIONS", "find")),
        IntegrationCode("examples/order/services/inventory.py", ("REACTIONS",)),
        IntegrationCode("examples/order/services/shipping.py", ("REACTIONS",)),
        IntegrationCode("examples/order/services/payment_reactions.py"),
        IntegrationCode("examples/order/services/notification_reactions.py"),
        IntegrationCode("examples/payment/event_types.py"),
        IntegrationCode("examples/payment/services/payment.py", ("REACTIONS",)),
        IntegrationCode("examples/payment/services/notification.py", ("REACTIONS",)),
        IntegrationCode("examples/order/deployment.py", ("REACTIONS", "TOPOLOGY")),
        IntegrationCode("examples/service_kit/process.py", ("react_to_events",)),
    ),
}
"""The integration code of the order and the payment saga together: the source of `integration_lines`.

Left out is code for both styles: business code, operations and messages, the HTTP server.
"""


def integration_files_of(style: str, *, root: Path = ROOT) -> tuple[IntegrationFile, ...]:
    """Counts the lines of integration code of one style, per file."""
    return tuple(
        IntegrationFile(
            file=each.file, lines=count_lines((root / each.file).read_text("utf-8"), only=each.only)
        )
        for each in INTEGRATION_CODE[style]
    )


def count_lines(source: str, *, only: tuple[str, ...] = ()) -> int:
    """Counts the lines of a module without blank lines, comments and docstrings.

    Args:
        source: The source of the module.
        only: The top-level names to count, with the imports of event types; empty: all.
    """
    tree = ast.parse(source)
    counted: set[int] = set()
    for node in tree.body:
        if not only or set(_names(node)) & set(only) or _imports_event_types(node):
            counted |= _span(node)
    for part in ast.walk(tree):
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
            counted -= _span(part)
    lines = source.splitlines()
    return sum(1 for n in counted if (line := lines[n - 1].strip()) and not line.startswith("#"))


def dependencies_of(style: str) -> Dependencies:
    """Reads from the code which operations or event types of other services each process depends on."""
    if style == "orchestrated":
        called: dict[str, list[str]] = {}
        for operation in OPERATIONS:
            called.setdefault(operation.participant, []).append(operation.name)
        independent: Dependencies = {name: {} for name in REACTIONS}
        return {"orchestrator": {name: tuple(sorted(called[name])) for name in sorted(called)}, **independent}
    return {name: _consumed_by(name) for name in REACTIONS}


def status_sources_of(style: str) -> tuple[str, ...]:
    """Returns the places to read for the status of one saga as a whole."""
    if style == "orchestrated":
        return ("Temporal: the workflow with the id of the saga",)
    return tuple(f"{name}: GET /state/{{order_id}}" for name in REACTIONS)


def _consumed_by(name: str) -> dict[str, tuple[str, ...]]:
    consumed: dict[str, list[str]] = {}
    for event_type in REACTIONS[name].event_types:
        if event_type.source != name:
            consumed.setdefault(event_type.source, []).append(event_type.name)
    return {source: tuple(sorted(consumed[source])) for source in sorted(consumed)}


def _span(node: ast.stmt) -> set[int]:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return set(range(first, (node.end_lineno or node.lineno) + 1))


def _names(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            yield from (each.id for each in targets if isinstance(each, ast.Name))
        case _:
            return


def _imports_event_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2] == EVENT_TYPES
