"""The report of a comparison: complete in itself, well formed, and safe."""

import json
import re
from html.parser import HTMLParser

import pytest

from examples.compare.measurement.figures import Comparison
from examples.compare.reporting.html_page import page
from tests.unit.sample_comparison import a_comparison

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Strict(HTMLParser):
    """Checks that every element is closed where it should be, and collects what points somewhere."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.points_to: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"href", "src", "xlink:href", "action", "data"}:
                self.points_to.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"


@pytest.fixture(scope="module")
def html() -> str:
    return page(a_comparison())


def parsed(html: str) -> Strict:
    parser = Strict()
    parser.feed(html)
    parser.close()
    return parser


def test_is_well_formed(html: str) -> None:
    """Every element is closed in its place, and no id is given twice, across the charts as well."""
    found = parsed(html)

    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert html.startswith("<!doctype html>")


def test_needs_nothing_but_itself(html: str) -> None:
    """No script, no address, and nothing that is loaded: it can be mailed, and read in ten years."""
    found = parsed(html)

    assert not found.tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert all(target.startswith("#") for target in found.points_to)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", html)


def test_is_for_light_and_dark_and_paper(html: str) -> None:
    """The charts take their colours from the page; none brings its own."""
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    charts = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert "var(--orchestrated)" in charts
    assert "var(--ink)" in charts
    assert not re.search(r"#[0-9a-f]{6}\b", charts)


def test_escapes_whatever_it_is_given() -> None:
    """What services and file names say is text, never markup."""
    evil = """<script>alert("1")</script>&'"""
    comparison = a_comparison(detail=evil)
    styles = {
        name: figures.model_copy(
            update={
                "killed": evil,
                "end_states": {evil: 1},
                "messages_by_kind": {evil: 1.0},
                "state_is_asked_at": (evil,),
                "knows": {evil: {f'">{evil}': (evil,)}},
            }
        )
        for name, figures in comparison.styles.items()
    }
    html = page(comparison.model_copy(update={"styles": styles}))

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert parsed(html).open == []


def test_says_when_something_was_not_as_it_must_be() -> None:
    """A broken promise is the first thing that one sees."""
    html = page(a_comparison(detail="order 7"))

    assert html.index("END STATES DIFFER") < html.index("<h2>")
    assert "1 of 2 invariants held" in html
    assert "order 7" in html


def test_the_figures_survive_json() -> None:
    """What is written can be read again, under exactly the names that are promised."""
    comparison = a_comparison()
    text = comparison.model_dump_json()

    assert Comparison.model_validate_json(text) == comparison
    assert set(json.loads(text)) == {"identical_end_states", "styles", "invariants"}
