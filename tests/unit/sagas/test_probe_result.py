"""What a probe has found becomes a verdict, or leaves everything as it was."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from sagas import ProbeResult
from sagas._core.activity_outcome import ActivityOutcome
from sagas._core.outcome import Outcome


class Seat(BaseModel):
    number: int


def test_found_done_is_done_with_its_result() -> None:
    """The saga goes on as if the answer had not been lost."""
    finding = ProbeResult[Seat](outcome="done", result=Seat(number=7))

    assert finding.to_outcome() == ActivityOutcome(Outcome.DONE, Seat(number=7))


def test_found_rejected_is_a_refusal_for_good() -> None:
    """With code and reason, and no result."""
    finding = ProbeResult[Seat](outcome="rejected", code="sold_out", reason="no seat")

    assert finding.to_outcome() == ActivityOutcome(
        Outcome.REJECTED, code="sold_out", reason="no seat", is_final=True
    )


def test_found_nothing_is_no_verdict() -> None:
    """The outcome stays unknown."""
    assert ProbeResult[Seat](outcome="unknown", reason="the index is being built").to_outcome() is None


@pytest.mark.parametrize("outcome", ["started", "withdrawn", "compensated", "Done", ""])
def test_participant_finds_one_of_three_things(outcome: str) -> None:
    """The others are what a saga knows, not a participant."""
    with pytest.raises(ValidationError, match="outcome"):
        ProbeResult[Seat].model_validate({"outcome": outcome})


def test_finding_comes_through_json_with_its_type() -> None:
    """As a saga reads it; a result of another type is no answer."""
    written = ProbeResult[Seat](outcome="done", result=Seat(number=7)).model_dump_json()

    assert ProbeResult[Seat].model_validate_json(written) == ProbeResult[Seat](
        outcome="done", result=Seat(number=7)
    )
    with pytest.raises(ValidationError, match="number"):
        ProbeResult[Seat].model_validate_json(written.replace("7", '"seven"'))


def test_finding_is_frozen() -> None:
    """What was found does not change."""
    finding: ProbeResult[Any] = ProbeResult(outcome="unknown")

    with pytest.raises(ValidationError, match="frozen"):
        finding.outcome = "done"  # type: ignore[misc] # it is frozen
