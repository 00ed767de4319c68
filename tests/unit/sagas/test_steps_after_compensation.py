"""A run that continues an earlier run recognizes the steps after compensation of the earlier run."""

from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from sagas._core.compensation import PendingCompensation
from sagas._temporal.payload_converter import SagaPayloadConverter
from sagas._workflow.compensation_execution import is_same_step

CONVERTER = SagaPayloadConverter()


class Notice(BaseModel):
    tags: frozenset[str]
    number: int = 7


@dataclass
class Letter:
    tags: set[str]


def step(argument: object, **changes: object) -> PendingCompensation:
    found = PendingCompensation(address="send-notice", activity="send", arguments=(argument,))
    return found.model_copy(update=changes)


TAGS = ["green", "black", "white"]


@pytest.mark.parametrize(
    "message",
    [Notice(tags=frozenset(TAGS)), Letter(tags=set(TAGS)), set(TAGS)],
    ids=["model", "dataclass", "set"],
)
@pytest.mark.parametrize("order", [TAGS, TAGS[::-1]], ids=["forward", "backward"])
def test_a_set_is_compared_by_its_members(message: object, order: list[str]) -> None:
    """The earlier run has written the members in the order of another process."""
    stored: object = order if isinstance(message, set) else {"tags": order}
    if isinstance(message, Notice):
        stored = {"tags": order, "number": 7}

    assert is_same_step(step(stored), step(message), CONVERTER)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (step({"tags": ["green"], "number": 7}), step(Notice(tags=frozenset(TAGS)))),
        (step({"tags": TAGS, "number": 8}), step(Notice(tags=frozenset(TAGS)))),
        (step(["a", "b"]), step(["b", "a"])),
        (step("a"), step("a", address="send-letter")),
        (step("a"), step("a", activity="post")),
        (step("a"), step("a", task_queue="letters")),
        (step("a"), step(object())),
    ],
    ids=["members", "field", "order of a list", "address", "activity", "task queue", "no JSON"],
)
def test_other_steps_are_not_the_same(one: PendingCompensation, other: PendingCompensation) -> None:
    """Another step is added, and runs as well."""
    assert not is_same_step(one, other, CONVERTER)
