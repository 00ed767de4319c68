"""A text in chunks is reassembled, in spite of foreign chunks."""

from itertools import permutations

import pytest

from sagas._wire.chunked_text import LARGEST_CHUNK, ChunkAssembler, TextChunk, split

TEXT = "a" * LARGEST_CHUNK + "b" * LARGEST_CHUNK + "c"
PARTS = split(TEXT)
WRONG: list[dict[str, object]] = [
    {"index": 7},
    {"index": -1},
    {"count": 99},
    {"count": 2},
    {"count": 0},
    {"text": "x"},
]


def arrived(*parts: TextChunk) -> ChunkAssembler:
    return ChunkAssembler().add_those_in(part.model_dump() for part in parts)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_parts_make_a_whole_in_any_order(order: tuple[int, ...]) -> None:
    """Repeated chunks do no harm, and the text is complete only with the last missing chunk."""
    *first, last = (PARTS[number] for number in order)

    parts = arrived(*first, *first)
    assert (parts.whole, parts.missing(PARTS)) == (None, (last,))
    parts.add(last)
    assert (parts.whole, parts.missing(PARTS)) == (TEXT, ())


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_stray_part_does_not_keep_a_text_from_arriving(wrong: dict[str, object], place: int) -> None:
    """Any client can send chunks, and a rescue would wait for ever: displaced chunks are sent again."""
    stray = PARTS[1].model_copy(update=wrong)
    parts = arrived(*PARTS[:place], stray, *PARTS[place:])

    for missing in () if parts.whole else parts.missing(PARTS):
        parts.add(missing)

    assert parts.whole == TEXT
