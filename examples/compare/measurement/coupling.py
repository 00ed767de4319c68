"""What it takes to wire the services together in each style: how many lines, and who has to know whom."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from examples.compare.measurement.figures import WiringFile
from examples.order.deployment import REACTIONS
from examples.order.worker import OPERATIONS

ROOT = Path(__file__).resolve().parents[3]

Knows = dict[str, dict[str, tuple[str, ...]]]
"""Who knows what of whom: operations that it asks for, or facts that it reacts to."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """A source file that wires services together.

    Args:
        file: From the root of the project.
        only: The top-level names that are wiring, where a file holds business code as well; imports of
            `facts` count with them. Empty: all of it.
    """

    file: str
    only: tuple[str, ...] = ()


WIRING = {
    "orchestrated": (
        Wiring("examples/order/saga.py"),
        Wiring("examples/payment/saga.py"),
        Wiring("examples/order/worker.py"),
    ),
    "choreographed": (
        Wiring("examples/order/event_types.py"),
        Wiring("examples/order/services/orders.py", ("REACTIONS", "find")),
        Wiring("examples/order/services/inventory.py", ("REACTIONS",)),
        Wiring("examples/order/services/shipping.py", ("REACTIONS",)),
        Wiring("examples/order/services/payment_reactions.py"),
        Wiring("examples/order/services/notification_reactions.py"),
        Wiring("examples/payment/event_types.py"),
        Wiring("examples/payment/services/payment.py", ("REACTIONS",)),
        Wiring("examples/payment/services/notification.py", ("REACTIONS",)),
        Wiring("examples/order/deployment.py"),
        Wiring("examples/service_kit/process.py", ("react",)),
    ),
}
"""What is wiring, for the order and the payment saga together: what `wiring_lines` is counted from.

Left out is what both styles need: the business code, the operations and messages, the HTTP server.
"""


def wiring_of(style: str, *, root: Path = ROOT) -> tuple[WiringFile, ...]:
    """The lines of wiring per file, of one style."""
    return tuple(
        WiringFile(file=each.file, lines=count_lines((root / each.file).read_text("utf-8"), only=each.only))
        for each in WIRING[style]
    )


def count_lines(source: str, *, only: tuple[str, ...] = ()) -> int:
    """Lines that are neither blank, nor a comment, nor a docstring.

    Args:
        source: Of a module.
        only: The top-level names to count, with the imports of `facts`; empty: all.
    """
    tree = ast.parse(source)
    counted: set[int] = set()
    for node in tree.body:
        if not only or set(_names(node)) & set(only) or _imports_facts(node):
            counted |= _span(node)
    for part in ast.walk(tree):
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant):
            counted -= _span(part)
    lines = source.splitlines()
    return sum(1 for n in counted if (line := lines[n - 1].strip()) and not line.startswith("#"))


def who_knows_whom(style: str) -> Knows:
    """Per process that takes part: what it has to know of others, according to the code that runs."""
    if style == "orchestrated":
        known: dict[str, list[str]] = {}
        for operation in OPERATIONS:
            known.setdefault(operation.participant, []).append(operation.name)
        nobody: Knows = {name: {} for name in REACTIONS}
        return {"orchestrator": {name: tuple(sorted(known[name])) for name in sorted(known)}, **nobody}
    return {name: _heard(name) for name in REACTIONS}


def state_is_asked_at(style: str) -> tuple[str, ...]:
    """Where one has to look to learn how a saga stands as a whole."""
    if style == "orchestrated":
        return ("Temporal: its workflow, by the saga's id",)
    return tuple(f"{name}: GET /state/{{order_id}}" for name in REACTIONS)


def _heard(name: str) -> dict[str, tuple[str, ...]]:
    heard: dict[str, list[str]] = {}
    for fact in REACTIONS[name].facts:
        if fact.by != name:
            heard.setdefault(fact.by, []).append(fact.name)
    return {by: tuple(sorted(heard[by])) for by in sorted(heard)}


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


def _imports_facts(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2] == "facts"
