"""The result of a probe becomes the outcome of the action, or leaves the outcome unknown."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from sagas import ProbeResult
from sagas._core.activity_outcome import ActivityOutcome
from sagas._core.outcome import Outcome


class Seat(BaseModel):
    number: int


def test_done_is_done_with_its_result() -> None:
    """The saga goes on as if the response had not been lost."""
    found = ProbeResult[Seat](outcome="done", result=Seat(number=7))

    assert found.to_outcome() == ActivityOutcome(Outcome.DONE, Seat(number=7))


def test_rejected_is_a_final_rejection() -> None:
    """The rejection has a code and a reason, and no result."""
    found = ProbeResult[Seat](outcome="rejected", code="sold_out", reason="no seat")

    assert found.to_outcome() == ActivityOutcome(
        Outcome.REJECTED, code="sold_out", reason="no seat", is_final=True
    )


def test_unknown_stays_unknown() -> None:
    """The outcome stays unknown."""
    assert ProbeResult[Seat](outcome="unknown", reason="the index is being built").to_outcome() is None


@pytest.mark.parametrize("outcome", ["started", "withdrawn", "compensated", "Done", ""])
def test_probe_has_one_of_three_outcomes(outcome: str) -> None:
    """A participant cannot know the other outcomes of a saga."""
    with pytest.raises(ValidationError, match="outcome"):
        ProbeResult[Seat].model_validate({"outcome": outcome})


def test_result_comes_through_json_with_its_type() -> None:
    """The saga reads the JSON; a result of another type is an error."""
    written = ProbeResult[Seat](outcome="done", result=Seat(number=7)).model_dump_json()

    assert ProbeResult[Seat].model_validate_json(written) == ProbeResult[Seat](
        outcome="done", result=Seat(number=7)
    )
    with pytest.raises(ValidationError, match="number"):
        ProbeResult[Seat].model_validate_json(written.replace("7", '"seven"'))


def test_result_is_frozen() -> None:
    """A probe result never changes."""
    found: ProbeResult[Any] = ProbeResult(outcome="unknown")

    with pytest.raises(ValidationError, match="frozen"):
        found.outcome = "done"  # type: ignore[misc] # frozen
