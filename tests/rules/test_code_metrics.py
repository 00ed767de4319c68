"""The figures of the code stay within their limits, and the functions behind the figures are correct."""

from pathlib import Path, PurePosixPath

from .code_metrics import (
    LONG_FUNCTION,
    MOST_ANY,
    MOST_FILES,
    MOST_LONG_FUNCTIONS,
    any_density,
    crowded_folders,
    exported_names,
    long_functions,
    unmentioned_names,
)

ROOT = Path(__file__).parents[2]
PACKAGES = ("sagas", "activities", "choreography", "workers")
FOLDERS = (*PACKAGES, "examples", "benchmarks", "tests")
FACADES = (*PACKAGES, "sagas.operator", "sagas.testing", "choreography.testing")
"""The last two are added by later issues; a façade without a file has no names."""
SOURCES = {
    file.relative_to(ROOT): file.read_text(encoding="utf-8")
    for folder in FOLDERS
    for file in sorted((ROOT / folder).rglob("*.py"))
}


def texts_for_users() -> list[str]:
    """The docs without the changelog, the examples and the benchmarks."""
    pages = [page for page in ROOT.glob("*.md") if page.name != "CHANGELOG.md"]
    for folder in ("docs", "examples", "benchmarks"):
        pages += [file for file in (ROOT / folder).rglob("*") if file.suffix in {".md", ".py"}]
    return [page.read_text(encoding="utf-8") for page in pages]


def test_functions_fit_on_a_screen() -> None:
    """At most five functions have more than 47 lines; tests/architecture.py allows none over 70."""
    found = [
        f"{path} {name}: {lines} lines"
        for path, source in SOURCES.items()
        for name, lines in long_functions(source)
    ]

    assert len(found) <= MOST_LONG_FUNCTIONS, found


def test_any_is_rare_in_the_packages() -> None:
    """The packages have at most 8 uses of `Any` per 1,000 lines."""
    density = any_density(source for path, source in SOURCES.items() if path.parts[0] in PACKAGES)

    assert density <= MOST_ANY


def test_folders_are_packages_by_duty() -> None:
    """A folder with more than 13 modules contains several packages."""
    assert crowded_folders(PurePosixPath(path) for path in SOURCES) == {}


def test_every_exported_name_is_mentioned_to_users() -> None:
    """A name is exported when a doc, an example or a benchmark uses the name."""
    files = {facade: ROOT.joinpath(*facade.split("."), "__init__.py") for facade in FACADES}
    sources = {facade: file.read_text(encoding="utf-8") for facade, file in files.items() if file.exists()}

    assert unmentioned_names(sources, texts_for_users()) == {}


def test_a_long_function_is_found() -> None:
    """A function of 48 lines is too long, and a function of 47 lines is not."""
    body = "    x = 1\n" * LONG_FUNCTION

    assert list(long_functions(f"def f():\n{body}")) == [("f", LONG_FUNCTION + 1)]
    assert list(long_functions(f"async def f():\n{body}".removesuffix("    x = 1\n"))) == []


def test_the_density_of_any_counts_uses_and_no_imports() -> None:
    """The density is measured per 1,000 lines."""
    assert any_density(["from typing import Any\nx: Any = 1\n", "y = 1\nz = 2\n"]) == 250
    assert any_density([]) == 0


def test_a_crowded_folder_is_found() -> None:
    """The façade of a package does not count."""
    full = [PurePosixPath("sagas/__init__.py"), *(PurePosixPath(f"sagas/_{n}.py") for n in range(MOST_FILES))]

    assert crowded_folders(full) == {}
    assert crowded_folders([*full, PurePosixPath("sagas/_more.py")]) == {"sagas": MOST_FILES + 1}


def test_an_unmentioned_name_is_found() -> None:
    """A part of another word is no mention."""
    facades = {"sagas": '__all__ = ["Saga", "step"]', "workers": '__all__ = ["run_main"]'}

    assert exported_names(facades["sagas"]) == ["Saga", "step"]
    assert unmentioned_names(facades, ["`SagaError` and `run_main`", "a step"]) == {"sagas": ["Saga"]}
