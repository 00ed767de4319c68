"""A long activity that goes on where its last attempt stopped."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from temporalio.testing import ActivityEnvironment

from activities import Progress
from sagas import DefinitionError


class Position(BaseModel):
    """Where it is."""

    file: str
    row: int = 0


def attempt(*saved: Any, heartbeat: timedelta | None = timedelta(seconds=5)) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.info = dataclasses.replace(
        environment.info, heartbeat_details=saved, heartbeat_timeout=heartbeat
    )
    return environment


def test_the_first_attempt_begins_at_the_start() -> None:
    """Nothing was saved."""
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
def test_another_attempt_goes_on_where_the_last_one_stopped(start: Any, saved: Any, expected: Any) -> None:
    """Or begins again, where nobody can say where that was."""
    assert attempt(saved).run(lambda: Progress(start).value) == expected


@pytest.mark.parametrize("saved", ["b", {"file": "b"}, 3])
def test_progress_that_begins_with_nothing_goes_on_where_the_last_attempt_stopped(saved: Any) -> None:
    """The type of its start says nothing of what comes later."""
    assert attempt(saved).run(lambda: Progress(None).value) == saved


def test_progress_has_the_type_that_it_was_given() -> None:
    """Not that of its start."""
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


def test_progress_without_a_heartbeat_is_refused() -> None:
    """A crash would be noticed only when the attempt's time is up."""
    with pytest.raises(DefinitionError, match="give its policy a `heartbeat`"):
        attempt(heartbeat=None).run(lambda: Progress(0))
