"""A retried activity continues at the position that the previous attempt saved."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.testing import ActivityEnvironment

from activities import Progress
from sagas import DefinitionError


class Position(BaseModel):
    """A position in a list of files."""

    file: str
    row: int = 0


def attempt(*saved: Any, heartbeat: timedelta | None = timedelta(seconds=5)) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info, heartbeat_details=saved, heartbeat_timeout=heartbeat
    )
    return environment


def test_the_first_attempt_begins_at_the_start() -> None:
    """No position was saved."""
    assert attempt().run(lambda: Progress(7).value) == 7


@pytest.mark.parametrize(
    ("start", "saved", "expected"),
    [
        (0, 3, 3),
        (Position(file="a"), {"file": "b", "row": 2}, Position(file="b", row=2)),
        (Position(file="a"), {"page": 2}, Position(file="a")),
        (0, "three", 0),
    ],
    ids=["number", "model", "of-another-version", "of-another-type"],
)
def test_a_retry_continues_at_the_saved_position(start: Any, saved: Any, expected: Any) -> None:
    """An unreadable position restarts the work."""
    assert attempt(saved).run(lambda: Progress(start).value) == expected


@pytest.mark.parametrize("saved", ["b", {"file": "b"}, 3])
def test_a_start_of_none_accepts_any_saved_position(saved: Any) -> None:
    """The type of None says nothing about later positions."""
    assert attempt(saved).run(lambda: Progress(None).value) == saved


def test_the_type_in_brackets_precedes_the_type_of_the_start() -> None:
    """`Progress[str | None](None)` reads strings."""
    kind = Progress[Position | None]

    assert attempt({"file": "b"}).run(lambda: kind(None).value) == Position(file="b")
    assert attempt(None).run(lambda: kind(Position(file="a")).value) is None
    assert attempt("three").run(lambda: kind(None).value) is None


def test_saving_is_a_heartbeat() -> None:
    """The server keeps the position."""
    environment, beats = attempt(2), list[Any]()
    environment.on_heartbeat = lambda *details: beats.append(details)

    def work() -> int:
        progress = Progress(0)
        progress.save(progress.value + 1)
        return progress.value

    assert environment.run(work) == 3
    assert beats == [(3,)]


def test_progress_without_a_heartbeat_timeout_is_refused() -> None:
    """A crash would be noticed only after the attempt's timeout."""
    with pytest.raises(DefinitionError, match="set `heartbeat` in the policy of its step"):
        attempt(heartbeat=None).run(lambda: Progress(0))
