"""The rules of the house, as functions over source text: who may import what, and how long and named how.

Each takes a path relative to the root of the project and the text of the file, and returns what is wrong.
"""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath

PUBLIC = {"sagas", "activities", "choreography", "workers"}

MAY_IMPORT = {
    "sagas": set[str](),
    "activities": {"sagas"},
    "choreography": {"sagas"},
    "workers": {"sagas", "choreography"},
    "examples.payment": PUBLIC,
    "examples.order": PUBLIC | {"examples.payment"},
    "examples.compare": PUBLIC | {"examples"},
    "examples": PUBLIC,
    "benchmarks": PUBLIC | {"examples"},
}
"""Which of our packages each of them may import; tests may import everything."""

LAYERS = {
    "sagas": (
        "_errors",
        "_core",
        "_declarations",
        "_wire",
        "_temporal",
        "_run",
        "_execution",
        "_messages",
        "_workflow",
        "_plugin",
        "_history",
        "_client",
        "operator",
    ),
}
"""The packages inside a package from the lowest to the highest; each may only import lower ones."""

WORKFLOW_CODE = ("sagas._run", "sagas._execution", "sagas._messages", "sagas._workflow", "sagas._plugin")
APART = {"sagas._history": WORKFLOW_CODE, "sagas.operator": WORKFLOW_CODE}
"""Lower packages that a package may not import either: operators need no workflow code."""

ONLY_IN = {
    "aio_pika": ["choreography/_rabbitmq.py", "tests/*"],
    "aiormq": ["tests/*"],
    "fastapi": ["examples/*", "tests/*"],
    "httpx": ["activities/*", "examples/*", "benchmarks/*", "tests/*"],
    "hypothesis": ["*/testing/*", "tests/*"],
    "matplotlib": ["examples/compare/charts.py", "tests/*"],
    "opentelemetry.exporter": ["workers/_telemetry.py", "tests/*"],
    "opentelemetry.sdk": ["workers/_telemetry.py", "tests/*"],
    "pydantic_settings": ["workers/_settings.py", "examples/*", "tests/*"],
    "pytest": ["*/testing/*", "tests/*"],
    "rich": ["workers/_cli.py", "examples/*", "benchmarks/*", "tests/*"],
    "sqlite3": ["choreography/*", "examples/*", "tests/*"],
    "temporalio.contrib.opentelemetry": ["workers/_telemetry.py", "tests/*"],
    "typer": ["workers/_cli*.py", "workers/_operate.py", "examples/*", "tests/*"],
    "uvicorn": ["examples/*", "tests/*"],
}
"""In which files a library may be imported, and nowhere else."""

READS_ENVIRONMENT = {"workers/_settings.py", "workers/_process.py"}
"""Settings are read in one file; a child process gets what its parent has."""

NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
SHADOWING = {"activities", "workers"}
LONGEST_FUNCTION = 70


def violations(path: str, source: str) -> list[str]:
    """Everything in a file that breaks a rule of the house."""
    tree = ast.parse(source, filename=path)
    found = [*_name(path), *_imports(path, tree), *_functions(tree), *_environment(path, tree)]
    if PurePosixPath(path).name == "__init__.py":
        found += _facade(tree)
    return [f"{path}: {problem}" for problem in found]


def imported_modules(path: str, tree: ast.AST) -> Iterator[str]:
    """The full names of what a file imports, with what it imports from them: `sagas._errors.SagaError`."""
    folder = PurePosixPath(path).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else ()
            start = ".".join((*above, *([node.module] if node.module else [])))
            yield from (f"{start}.{alias.name}" for alias in node.names)


def _name(path: str) -> Iterator[str]:
    file = PurePosixPath(path)
    if file.stem.strip("_") in NAMELESS:
        yield f"a file is named by the noun it owns, not {file.name!r}"
    if file.stem in SHADOWING and file.parts[0] == "examples":
        yield f"{file.name!r} would shadow a package of ours for who runs it as a script"


def _imports(path: str, tree: ast.AST) -> Iterator[str]:
    here = ".".join(PurePosixPath(path).parent.parts)
    # The entry point of an example puts together what the example itself does not know.
    if PurePosixPath(path).name == "__main__.py" and here.startswith("examples."):
        here = "examples.compare"
    home = next((package for package in MAY_IMPORT if _is_in(here, package)), None)
    for module in imported_modules(path, tree):
        top = module.partition(".")[0]
        if _is_upward(here, module) or any(_is_in(module, other) for other in APART.get(here, ())):
            yield f"{here} may not import {module}"
        for library, files in ONLY_IN.items():
            if _is_in(module, library) and not any(fnmatch(path, pattern) for pattern in files):
                yield f"{library} may only be imported in {', '.join(files)}"
        if home is None or top not in PUBLIC | {"examples", "benchmarks", "tests"} or _is_in(module, home):
            continue
        if not any(_is_in(module, allowed) for allowed in MAY_IMPORT[home]):
            yield f"{home} may not import {module}"
        elif top in PUBLIC and any(part.startswith("_") for part in module.split(".")):
            yield f"{module} is private to {top}; import from its façade"


def _is_upward(here: str, module: str) -> bool:
    """Whether an import goes to a higher layer of the same package."""
    top, _, rest = here.partition(".")
    layers = LAYERS.get(top, ())
    own, other = rest.partition(".")[0], module.removeprefix(f"{top}.").partition(".")[0]
    if not module.startswith(f"{top}.") or own not in layers or other not in layers:
        return False
    return layers.index(other) > layers.index(own)


def _functions(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield f"function {node.name!r} has {lines} lines, and {LONGEST_FUNCTION} is the most"


def _environment(path: str, tree: ast.AST) -> Iterator[str]:
    if path.partition("/")[0] not in PUBLIC or path in READS_ENVIRONMENT:
        return
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {module.removeprefix("os.") for module in imported_modules(path, tree)}
    if (attributes | names) & {"environ", "getenv"}:
        yield f"the environment is read in {', '.join(sorted(READS_ENVIRONMENT))} only"


def _facade(tree: ast.Module) -> Iterator[str]:
    public: list[str] | None = None
    imported: list[str] = []
    if not ast.get_docstring(tree) and tree.body:
        yield "a façade begins with a docstring"
    for node in tree.body[1:]:
        match node:
            case ast.ImportFrom(names=names) | ast.Import(names=names):
                imported += [alias.asname or alias.name for alias in names]
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=elements)):
                public = [str(one.value) for one in elements if isinstance(one, ast.Constant)]
            case _:
                yield "a façade is a docstring, imports and __all__"
    if imported and sorted(imported) != sorted(public or []):
        yield "__all__ names what a façade imports, all of it and nothing else"
    if public and public != sorted(public, key=_facade_order):
        yield "__all__ is sorted: constants, classes, functions"


def _facade_order(name: str) -> tuple[int, str]:
    is_constant = name.isupper() and len(name) > 1
    return (0 if is_constant else 1 if name[0].isupper() else 2, name)


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
