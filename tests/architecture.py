"""The rules of the house, as functions over source text: who may import what, and how long and named how.

Each takes a path relative to the root of the project and the text of the file, and returns what is wrong.
"""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePosixPath

PUBLIC = {"sagas", "activities", "choreography", "workers"}
EXAMPLE_KITS = {"examples.service_kit", "examples.stack", "examples.demo"}
"""The parts of the examples that know no particular saga."""

MAY_IMPORT = {
    "sagas": set[str](),
    "activities": {"sagas"},
    "choreography": {"sagas"},
    "workers": {"sagas", "choreography"},
    "examples.service_kit": PUBLIC,
    "examples.stack": PUBLIC | {"examples.service_kit"},
    "examples.demo": PUBLIC | {"examples.service_kit", "examples.stack"},
    "examples.payment": PUBLIC | EXAMPLE_KITS,
    "examples.order": PUBLIC | EXAMPLE_KITS | {"examples.payment"},
    "examples.patterns": PUBLIC,
    "examples.compare": PUBLIC | EXAMPLE_KITS | {"examples.payment", "examples.order"},
    "examples": set[str](),
    "benchmarks": PUBLIC | {"examples"},
}
"""Which of our packages each of them may import; tests may import everything."""

LAYERS = {
    "sagas": (
        "_errors",
        "_validation",
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
        "testing",
    ),
    "choreography": (
        "_errors",
        "_backoff",
        "_declarations",
        "_tracing",
        "_messaging",
        "_transaction",
        "_runtime",
    ),
    "workers": (
        "_errors",
        "_polling",
        "_configuration",
        "_search_attributes",
        "_servers",
        "_connections",
        "_telemetry",
        "_worker",
        "_histories",
        "_cli",
        "_pytest",
    ),
}
"""The packages inside a package from the lowest to the highest; each may only import lower ones."""

APART = {
    "sagas._history": (
        "sagas._run",
        "sagas._execution",
        "sagas._messages",
        "sagas._workflow",
        "sagas._plugin",
    ),
    "choreography._messaging": ("choreography._tracing",),
    "workers._telemetry": ("workers._servers", "workers._connections"),
    "workers._worker": (
        "workers._configuration",
        "workers._servers",
        "workers._connections",
        "workers._telemetry",
    ),
    "workers._histories": (
        "workers._configuration",
        "workers._servers",
        "workers._connections",
        "workers._telemetry",
        "workers._worker",
    ),
    "workers._cli": ("workers._telemetry",),
    "workers._pytest": (
        "workers._connections",
        "workers._telemetry",
        "workers._worker",
        "workers._histories",
    ),
    "examples.payment.services": ("examples.stack", "examples.demo"),
    "examples.order.services": ("examples.stack", "examples.demo"),
    "examples.compare.measurement": ("examples.compare.reporting",),
    "examples.compare.reporting": ("examples.stack", "examples.demo"),
    "choreography._transaction": ("choreography._messaging",),
}
"""Lower packages that a package may not import all the same: reading a history needs no workflow code, and a
transaction needs no broker."""

ONLY_IN = {
    "aio_pika": ["choreography/_messaging/rabbitmq/*", "tests/*"],
    "aiormq": ["tests/*"],
    "fastapi": ["examples/service_kit/*", "tests/*"],
    "httpx": ["activities/*", "examples/*", "benchmarks/*", "tests/*"],
    "hypothesis": ["*/testing/*", "tests/*"],
    "matplotlib": ["examples/compare/reporting/charts.py", "tests/*"],
    "opentelemetry.exporter": ["workers/_telemetry/tracing.py", "tests/*"],
    "opentelemetry.sdk": ["workers/_telemetry/tracing.py", "tests/*"],
    "pydantic_settings": ["workers/_configuration/settings.py", "tests/*"],
    "pytest": ["workers/_pytest/*", "tests/*"],
    "rich": ["workers/_cli/*", "examples/*", "benchmarks/*", "tests/*"],
    "sqlite3": ["choreography/*", "examples/*", "tests/*"],
    "temporalio.contrib.opentelemetry": ["workers/_telemetry/tracing.py", "tests/*"],
    "typer": ["workers/_cli/*", "examples/*", "tests/*"],
    "uvicorn": ["examples/service_kit/*", "tests/*"],
}
"""In which files a library may be imported, and nowhere else."""

READS_ENVIRONMENT = {"workers/_configuration/settings.py", "workers/_servers/child_process.py"}
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
    this = ".".join(PurePosixPath(path).with_suffix("").parts)
    here = ".".join(PurePosixPath(path).parent.parts)
    home = _home_of(here)
    for module in imported_modules(path, tree):
        top = module.partition(".")[0]
        if _is_upward(this, module) or _is_apart(this, module):
            yield f"{_layer_of(this)} may not import {module}"
        for library, files in ONLY_IN.items():
            if _is_in(module, library) and not any(fnmatch(path, pattern) for pattern in files):
                yield f"{library} may only be imported in {', '.join(files)}"
        if (
            home is None
            or top not in PUBLIC | {"examples", "benchmarks", "tests"}
            or _home_of(module) == home
        ):
            continue
        if not any(_is_in(module, allowed) for allowed in MAY_IMPORT[home]):
            yield f"{home} may not import {module}"
        elif top in PUBLIC and any(part.startswith("_") for part in module.split(".")):
            yield f"{module} is private to {top}; import from its façade"


def _home_of(module: str) -> str | None:
    """The innermost package of `MAY_IMPORT` that a module belongs to."""
    return next((package for package in MAY_IMPORT if _is_in(module, package)), None)


def _layer_of(module: str) -> str:
    """The package or module directly under a top-level package that a module belongs to."""
    return ".".join(module.split(".")[:2])


def _is_upward(this: str, module: str) -> bool:
    """Whether an import goes to a higher layer of the same top-level package."""
    layers = [f"{this.partition('.')[0]}.{name}" for name in LAYERS.get(this.partition(".")[0], ())]
    own, other = _layer_of(this), _layer_of(module)
    return own in layers and other in layers and layers.index(other) > layers.index(own)


def _is_apart(this: str, module: str) -> bool:
    """Whether a module is one that this package does without."""
    return any(
        _is_in(module, other)
        for package, others in APART.items()
        if _is_in(this, package)
        for other in others
    )


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
