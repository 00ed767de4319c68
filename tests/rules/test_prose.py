"""Docstrings and docs name their subjects and use the field's terms; planted violations are detected."""

from pathlib import Path

import pytest

from .prose import (
    MOST_PRONOUNS,
    banned_in_markdown,
    banned_in_python,
    docstrings,
    markdown_prose,
    pronoun_density,
)

ROOT = Path(__file__).parents[2]
PACKAGES = ("sagas", "activities", "choreography", "workers")
FOLDERS = (*PACKAGES, "examples", "benchmarks", "tests")
EXAMPLES = {Path("tests/rules/prose.py"), Path("tests/rules/test_prose.py")}
"""The files with the banned phrases themselves."""
FILES = sorted(
    file.relative_to(ROOT)
    for folder in FOLDERS
    for file in (ROOT / folder).rglob("*.py")
    if file.relative_to(ROOT) not in EXAMPLES
)
PAGES = sorted(
    page.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "benchmarks/**/*.md")
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.md"
)


@pytest.mark.parametrize("package", FOLDERS)
def test_the_docstrings_of_a_package_name_their_subjects(package: str) -> None:
    """A package has fewer than 50 pronouns per 1,000 words of its docstrings."""
    texts = (file.read_text(encoding="utf-8") for file in sorted((ROOT / package).rglob("*.py")))

    assert pronoun_density("\n".join(map(docstrings, texts))) < MOST_PRONOUNS


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_names_its_subjects(page: Path) -> None:
    """A page has fewer than 50 pronouns per 1,000 words outside its code blocks."""
    assert pronoun_density(markdown_prose((ROOT / page).read_text(encoding="utf-8"))) < MOST_PRONOUNS


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_file_contains_no_banned_phrase(file: Path) -> None:
    """Comments, docstrings and other strings, for example error texts, use the terms of the field."""
    assert list(banned_in_python((ROOT / file).read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_contains_no_banned_phrase(page: Path) -> None:
    """The guides use the terms of the field."""
    assert list(banned_in_markdown((ROOT / page).read_text(encoding="utf-8"))) == []


def test_there_is_prose_to_check() -> None:
    """A checker of no files finds no violation."""
    assert {file.parts[0] for file in FILES} == set(FOLDERS)
    assert {"README.md", "docs", "examples", "benchmarks"} <= {page.parts[0] for page in PAGES}


def test_the_density_counts_pronouns() -> None:
    """The density is measured per 1,000 words, and without regard to case."""
    assert pronoun_density("It does what nobody knows.") == 600
    assert pronoun_density("The relay publishes stored events.") == 0
    assert pronoun_density("") == 0


def test_the_density_looks_at_docstrings_only() -> None:
    """Names and comments of the code do not count."""
    source = (
        '"""A module."""\nit = 1  # it\n\n\nclass A:\n    """A class."""\n\n'
        '    def f(self):\n        """A method."""'
    )

    assert docstrings(source).split("\n") == ["A module.", "A class.", "A method."]


def test_the_density_of_a_page_ignores_code() -> None:
    """Code blocks of any language are left out."""
    page = "Before.\n```python\nit = what\n```\nBetween.\n~~~\nit\n~~~\nAfter."

    assert markdown_prose(page).split() == ["Before.", "Between.", "After."]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('"""The saga makes up\nfor the step."""', "line 1: 'makes up for'"),
        ("x = 1\n# Nobody knows.", "line 2: 'Nobody'"),
        ('raise ValueError("the saga owes a compensation")', "line 1: 'owes'"),
        ("log(f'{name}: turns round')", "line 1: 'turns round'"),
    ],
)
def test_a_banned_phrase_in_code_is_detected(source: str, found: str) -> None:
    """In docstrings, comments, error texts and log lines."""
    assert list(banned_in_python(source)) == [found]


def test_a_banned_phrase_on_a_page_is_detected() -> None:
    """The violation names the line and the phrase."""
    assert list(banned_in_markdown("# Title\n\nThe way back begins.")) == ["line 3: 'way back'"]


@pytest.mark.parametrize(
    "source",
    [
        'key = "owed"',
        "nobody = owes",
        "# The field `owed` stays.",
        'x = "not-owed"',
    ],
)
def test_names_are_no_prose(source: str) -> None:
    """Identifiers, keys of the wire and quoted names are allowed."""
    assert list(banned_in_python(source)) == []
