"""docs/patterns.md shows the code of examples/patterns, and the sagas are short."""

from pathlib import Path

import pytest

from examples.patterns.scenarios.catalog import PATTERNS

from .pattern_code import PAGE, pattern_files, saga_lengths, shown_files, with_current_code

LONGEST_SAGA = 40
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_shows_the_code_of_the_files() -> None:
    """`python -m tests.rules.pattern_code` writes the blocks."""
    assert with_current_code(TEXT) == TEXT


def test_another_code_on_the_page_is_detected() -> None:
    """A changed line of a block is no code of a file."""
    changed = TEXT.replace("async with Saga() as saga:", "async with Saga() as changed:", 1)

    assert with_current_code(changed) == TEXT != changed


def test_every_pattern_is_on_the_page_and_has_scenarios() -> None:
    """Each file with a saga has a section of the page and an entry of the catalog, in the same order."""
    shown = shown_files(TEXT)

    assert sorted(shown) == [file.stem for file in pattern_files()]
    assert shown == [name.replace("-", "_") for name in PATTERNS]


@pytest.mark.parametrize("name", PATTERNS)
def test_every_section_tells_the_failure_and_the_names_of_other_systems(name: str) -> None:
    """A section has the command, the code, the failure and the other names."""
    (section,) = [each for each in TEXT.split("\n## ") if f"`python -m examples.patterns {name}`" in each]

    assert "**On failure.**" in section
    assert "**Elsewhere.**" in section
    assert shown_files(section) == [name.replace("-", "_")]


@pytest.mark.parametrize("file", pattern_files(), ids=lambda file: file.stem)
def test_every_saga_is_short(file: Path) -> None:
    """A saga of a pattern has at most 40 lines, with the decorator."""
    lengths = dict(saga_lengths(file.read_text(encoding="utf-8")))

    assert lengths
    assert max(lengths.values()) <= LONGEST_SAGA
