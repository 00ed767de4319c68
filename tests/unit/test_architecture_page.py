"""docs/architecture.md agrees with the code: the lifecycle, the layers, and the tree."""

import ast
import re
from contextlib import suppress
from pathlib import Path

import pytest

from sagas import DefinitionError
from sagas._core.lifecycle import Lifecycle, Phase
from tests.architecture import LAYERS, imported_modules

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

TRANSITIONS = (
    *("open", "start_pivot", "withdraw_pivot", "pass_pivot", "begin_confirmation"),
    *("complete", "begin_compensation", "end_compensation"),
)
"""The methods that may change the phase; `abort` leads from every phase to the end."""
TREES = ("sagas", "choreography", "workers")
"""The packages whose inner packages are compared with the tree of the page."""


def phase_after(phase: Phase, method: str, *, starts_past_pivot: bool) -> Phase:
    """The phase of a lifecycle after a transition; an illegal transition changes nothing."""
    lifecycle = Lifecycle(starts_past_pivot=starts_past_pivot)
    lifecycle.phase = phase
    arguments = ["ship"] if method == "start_pivot" else []
    with suppress(DefinitionError):
        getattr(lifecycle, method)(*arguments)
    return lifecycle.phase


def test_the_diagram_draws_every_transition_of_the_lifecycle() -> None:
    """An arrow without a transition, and a transition without an arrow, both fail."""
    arrows = re.findall(r"^ +(\w+) --> (\w+): (\w+)$", PAGE, re.MULTILINE)
    drawn = {(Phase[source.upper()], method, Phase[target.upper()]) for source, target, method in arrows}

    assert drawn == {
        (phase, method, after)
        for phase in Phase
        for method in TRANSITIONS
        for starts_past_pivot in (False, True)
        if (after := phase_after(phase, method, starts_past_pivot=starts_past_pivot)) is not phase
    }


def test_every_method_that_changes_the_phase_is_a_transition() -> None:
    """A new transition has to be drawn."""
    tree = ast.parse((ROOT / "sagas" / "_core" / "lifecycle.py").read_text(encoding="utf-8"))
    changing = {
        method.name
        for method in ast.walk(tree)
        if isinstance(method, ast.FunctionDef)
        and any(
            isinstance(each, ast.Attribute) and each.attr == "phase" and isinstance(each.ctx, ast.Store)
            for each in ast.walk(method)
        )
    }

    # `_end` is the common end of `complete` and `end_compensation`.
    assert changing - {"_end"} == {*TRANSITIONS, "abort"} - {"complete", "end_compensation"}


@pytest.mark.parametrize("package", LAYERS)
def test_the_layers_stand_in_their_order(package: str) -> None:
    """The lowest package comes first, as in the rule for the layers."""
    (line,) = re.findall(rf"^{package}: (.*?)(?=^\w|^```)", PAGE, re.MULTILINE | re.DOTALL)

    assert tuple(line.replace("<", " ").split()) == LAYERS[package]


@pytest.mark.parametrize("package", TREES)
def test_the_tree_has_a_line_for_every_inner_package(package: str) -> None:
    """A package without a line, and a line without a package, both fail."""
    (tree,) = re.findall(rf"^{package}/ .*\n((?: .*\n)*)", PAGE, re.MULTILINE)
    inner = {file.parent.name for file in (ROOT / package).glob("*/__init__.py")}

    assert set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE)) == inner


def test_the_core_knows_nothing_of_temporal() -> None:
    """The pure rules can be tested exhaustively, without a server."""
    for file in (ROOT / "sagas" / "_core").glob("*.py"):
        imported = imported_modules(file.relative_to(ROOT).as_posix(), ast.parse(file.read_text()))
        assert not any(module.startswith("temporalio") for module in imported), file
