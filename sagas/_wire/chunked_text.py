"""Texts larger than one message: split into chunks by the sender, and assembled by the receiver."""

from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

LARGEST_CHUNK = 256 * 1024
"""Characters; less than the server's limit of 2 MiB for any characters."""


class TextChunk(BaseModel):
    """A chunk of a text.

    Args:
        digest: The beginning of the hash of the text.
        index: The position of the chunk, counted from 0.
        count: The number of chunks of the text.
        text: The content of the chunk.
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    index: int
    count: int
    text: str


class ChunkAssembler:
    """Assembles chunks that arrive in any order and any number of times; the first complete text counts."""

    def __init__(self) -> None:
        self.whole: str | None = None
        self._received: dict[str, dict[int, TextChunk]] = {}

    def add(self, chunk: TextChunk) -> None:
        """Adds a chunk."""
        received = self._received.setdefault(chunk.digest, {})
        received[chunk.index] = chunk
        if self.whole is None and all(index in received for index in range(chunk.count)):
            text = "".join(received[index].text for index in range(chunk.count))
            # Any sender of signals can send chunks that form no text with the declared digest.
            self.whole = text if _digest(text) == chunk.digest else None

    def add_those_in(self, contents: Iterable[object]) -> Self:
        """Adds the chunks among decoded JSON values; ignores other values."""
        for content in contents:
            with suppress(ValidationError):
                self.add(TextChunk.model_validate(content))
        return self

    def missing(self, chunks: tuple[TextChunk, ...]) -> tuple[TextChunk, ...]:
        """Returns the chunks of a text that have not arrived, or were replaced by other chunks."""
        return tuple(
            chunk for chunk in chunks if self._received.get(chunk.digest, {}).get(chunk.index) != chunk
        )


def split(text: str) -> tuple[TextChunk, ...]:
    """Splits a text into chunks, the same chunks each time."""
    texts = [text[start : start + LARGEST_CHUNK] for start in range(0, len(text), LARGEST_CHUNK)]
    digest = _digest(text)
    return tuple(
        TextChunk(digest=digest, index=index, count=len(texts), text=each) for index, each in enumerate(texts)
    )


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
