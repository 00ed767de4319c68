"""The rules of the prose, as functions over text: sentences name their subjects and use the field's terms."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

PRONOUNS = re.compile(
    r"\b(it|its|itself|that|what|who|whose|which|one|ones|they|them|these|those|so|such|somebody|nobody"
    r"|something|nothing|everything|whoever|whatever)\b",
    re.IGNORECASE,
)
"""Words that stand for a subject the reader must look for."""

MOST_PRONOUNS = 50
"""Pronouns per 1,000 words; the docstrings of comparable libraries have 18 to 37."""

BANNED = (
    r"mak(e|es|ing) up for",
    r"made up for",
    r"turn(s|ed|ing)? (round|back)",
    r"way back",
    r"says? so",
    r"nobody",
    r"owes?|owed|owing",
    r"debts?",
    r"a person's word",
    r"the last word",
    r"without a word",
    r"errands?",
    r"is deaf",
    r"who (cannot|can)",
    r"(is|are|was|were) told",
    r"hears?|heard|hearers",
    r"obeys?|obeyed",
    r"cut off",
    r"gone astray",
    r"needs attention",
    r"mailbox(es)?",
    r"turnstiles?",
)
"""Phrases with a term of the field in their place; see docs/glossary.md."""

_BANNED = re.compile(rf"(?<![\w`'\"./-])({'|'.join(BANNED)})(?![\w`'\"-])", re.IGNORECASE)
_NAMES = re.compile(r"`[^`]*`")
"""Names in a text: quoted."""


def pronoun_density(text: str) -> float:
    """The pronouns of a text per 1,000 words; 0 for a text without words."""
    words = len(text.split())
    return 1000 * len(PRONOUNS.findall(text)) / words if words else 0.0


def docstrings(source: str) -> str:
    """The docstrings of a Python file."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    return "\n".join(filter(None, map(ast.get_docstring, nodes)))


def markdown_prose(text: str) -> str:
    """The text of a Markdown page without its code blocks."""
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)


def banned_in_python(source: str) -> Iterator[str]:
    """The banned phrases in the comments, the docstrings and the other strings of a Python file."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from _banned(token.string, token.start[0])
    for node in ast.walk(ast.parse(source)):
        # A string without a space is a name: a key, a code, an operation.
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield from _banned(node.value, node.lineno)


def banned_in_markdown(text: str) -> Iterator[str]:
    """The banned phrases on a Markdown page, without its code blocks."""
    for number, line in enumerate(markdown_prose(text).splitlines(), 1):
        yield from _banned(line, number)


def _banned(text: str, line: int) -> Iterator[str]:
    for match in _BANNED.finditer(" ".join(_NAMES.sub("``", text).split())):
        yield f"line {line}: {match[0]!r}"
