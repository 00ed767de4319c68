"""Figures of the code that must not grow, as functions over source text."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

LONG_FUNCTION = 47
"""Lines that fit on a screen; 95 of 100 functions have 24 lines or fewer."""
MOST_LONG_FUNCTIONS = 5
MOST_ANY = 8
"""Uses of `Any` per 1,000 lines."""
MOST_FILES = 13
"""Modules of a folder, without `__init__.py`."""

_IMPORT = re.compile(r"^\s*(from|import)\b.*$", re.MULTILINE)


def long_functions(source: str) -> Iterator[tuple[str, int]]:
    """The functions that do not fit on a screen, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONG_FUNCTION:
                yield node.name, lines


def any_density(sources: Iterable[str]) -> float:
    """The uses of `Any` per 1,000 lines, without imports."""
    uses = lines = 0
    for source in sources:
        uses += len(re.findall(r"\bAny\b", _IMPORT.sub("", source)))
        lines += source.count("\n")
    return 1000 * uses / lines if lines else 0.0


def crowded_folders(paths: Iterable[PurePosixPath]) -> dict[str, int]:
    """The folders with too many modules, and the numbers of the modules."""
    counts = Counter(str(path.parent) for path in paths if path.name != "__init__.py")
    return {folder: count for folder, count in counts.items() if count > MOST_FILES}


def exported_names(facade: str) -> list[str]:
    """The names in the `__all__` of a façade."""
    for node in ast.parse(facade).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=elements)):
                return [str(each.value) for each in elements if isinstance(each, ast.Constant)]
            case _:
                continue
    return []


def unmentioned_names(facades: Mapping[str, str], texts: Iterable[str]) -> dict[str, list[str]]:
    """The exported names of each façade that no text mentions.

    Args:
        facades: The source of each façade.
        texts: The docs, the examples and the benchmarks.
    """
    mentioned = {word for text in texts for word in re.findall(r"\w+", text)}
    unmentioned = {
        facade: [name for name in exported_names(source) if name not in mentioned]
        for facade, source in facades.items()
    }
    return {facade: names for facade, names in unmentioned.items() if names}
