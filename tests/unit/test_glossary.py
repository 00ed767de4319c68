"""docs/glossary.md defines each term once, briefly, in alphabetical order."""

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
_, *ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)


def test_terms_are_sorted_and_defined_once() -> None:
    """A reader finds a term without searching."""
    terms = [term for term, _, _ in ROWS]

    assert len(terms) > 50
    assert terms == sorted(set(terms))


def test_definitions_have_at_most_two_sentences() -> None:
    """A longer explanation belongs into a guide."""
    assert [term for term, text, _ in ROWS if len(re.findall(r"[.!?](?= [A-Z*`]|$)", text)) > 2] == []
