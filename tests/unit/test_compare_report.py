"""The HTML page of a comparison: self-contained, well formed, and safe."""

import json
import re
from html.parser import HTMLParser

import pytest

from examples.compare.measurement.figures import Comparison
from examples.compare.reporting.html_page import render_page
from tests.unit.sample_comparison import a_comparison

VOID = {"meta", "br", "link", "img", "input", "hr"}


class StrictParser(HTMLParser):
    """Checks that every element is closed in its place, and collects all references."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"href", "src", "xlink:href", "action", "data"}:
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes no element"
        assert self.open.pop() == tag, f"</{tag}> closes another element"


@pytest.fixture(scope="module")
def html() -> str:
    return render_page(a_comparison())


def parsed(html: str) -> StrictParser:
    parser = StrictParser()
    parser.feed(html)
    parser.close()
    return parser


def test_the_page_is_well_formed(html: str) -> None:
    """Every element is closed in its place, and ids are unique across all charts."""
    found = parsed(html)

    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert html.startswith("<!doctype html>")


def test_the_page_is_self_contained(html: str) -> None:
    """The page has no script, no address, and loads no resource."""
    found = parsed(html)

    assert not found.tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert all(target.startswith("#") for target in found.references)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", html)


def test_the_page_is_for_light_and_dark_screens_and_for_paper(html: str) -> None:
    """The charts take all their colours from the page."""
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    charts = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert "var(--orchestrated)" in charts
    assert "var(--ink)" in charts
    assert not re.search(r"#[0-9a-f]{6}\b", charts)


def test_the_page_escapes_all_texts() -> None:
    """Texts of services and file names never become markup."""
    evil = """<script>alert("1")</script>&'"""
    comparison = a_comparison(detail=evil)
    styles = {
        name: figures.model_copy(
            update={
                "killed": evil,
                "end_states": {evil: 1},
                "messages_by_kind": {evil: 1.0},
                "status_sources": (evil,),
                "dependencies": {evil: {f'">{evil}': (evil,)}},
            }
        )
        for name, figures in comparison.styles.items()
    }
    html = render_page(comparison.model_copy(update={"styles": styles}))

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert parsed(html).open == []


def test_the_page_begins_with_broken_invariants() -> None:
    """Differing end states stand before the first section."""
    html = render_page(a_comparison(detail="order 7"))

    assert html.index("END STATES DIFFER") < html.index("<h2>")
    assert "1 of 2 invariants held" in html
    assert "order 7" in html


def test_the_figures_survive_json() -> None:
    """The JSON form is read back as the same comparison, and has the documented fields."""
    comparison = a_comparison()
    text = comparison.model_dump_json()

    assert Comparison.model_validate_json(text) == comparison
    assert set(json.loads(text)) == {"identical_end_states", "styles", "invariants"}
