"""A text that is too large for one message: sent in parts, and put together where they arrive."""

from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

LARGEST_PART = 256 * 1024
"""Characters; whatever they are, less than the 2 MiB that a server takes."""


class TextChunk(BaseModel):
    """A piece of a text.

    Args:
        of: Which text it is a part of: the beginning of its hash.
        number: Which part, from 0 on.
        count: How many parts there are.
        text: The piece.
    """

    model_config = ConfigDict(frozen=True)

    of: str
    number: int
    count: int
    text: str


class ChunkAssembler:
    """Those that have arrived, in any order and as often as they like; the first whole text counts."""

    def __init__(self) -> None:
        self.whole: str | None = None
        self._found: dict[str, dict[int, TextChunk]] = {}

    def add(self, part: TextChunk) -> None:
        """Takes a part."""
        found = self._found.setdefault(part.of, {})
        found[part.number] = part
        if self.whole is None and all(number in found for number in range(part.count)):
            text = "".join(found[number].text for number in range(part.count))
            # Whoever may signal may send what is no part of anything.
            self.whole = text if _name(text) == part.of else None

    def add_those_in(self, contents: Iterable[object]) -> Self:
        """Takes the parts among what has been sent, as JSON has it."""
        for content in contents:
            with suppress(ValidationError):
                self.add(TextChunk.model_validate(content))
        return self

    def missing(self, parts: tuple[TextChunk, ...]) -> tuple[TextChunk, ...]:
        """Those of a text that have not arrived, or in whose place another one has."""
        return tuple(part for part in parts if self._found.get(part.of, {}).get(part.number) != part)


def split(text: str) -> tuple[TextChunk, ...]:
    """The parts of a text, the same each time."""
    pieces = [text[start : start + LARGEST_PART] for start in range(0, len(text), LARGEST_PART)]
    name = _name(text)
    return tuple(
        TextChunk(of=name, number=n, count=len(pieces), text=piece) for n, piece in enumerate(pieces)
    )


def _name(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
