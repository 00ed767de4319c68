"""docs/modules.md lists every module, with the first line of its docstring."""

from .modules_page import PAGE, modules_page


def test_the_page_of_modules_is_up_to_date() -> None:
    """After a change of a module, `python -m tests.rules.modules_page` writes the page anew."""
    assert PAGE.read_text(encoding="utf-8") == modules_page()
