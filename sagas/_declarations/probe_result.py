"""The result of a probe: the outcome of an action, as the participant knows the outcome."""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from .._core.activity_outcome import ActivityOutcome
from .._core.outcome import Outcome

O = TypeVar("O")  # noqa: E741 - the output of an action


class ProbeResult(BaseModel, Generic[O]):
    """The outcome of an action, as reported by the participant.

    `rejected` promises that the action did not happen and never will, even if a late request arrives. A
    participant without that certainty returns `unknown`.

    Args:
        outcome: `done`, `rejected` or `unknown`.
        result: The result of an action that is done.
        code: The code of the rejection.
        reason: The reason of the rejection, for people.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Literal["done", "rejected", "unknown"]
    result: O | None = None
    code: str = ""
    reason: str = ""

    def to_outcome(self) -> ActivityOutcome | None:
        """The outcome for the saga; `None` if the participant does not know the outcome."""
        if self.outcome == "unknown":
            return None
        if self.outcome == "done":
            return ActivityOutcome(Outcome.DONE, self.result)
        return ActivityOutcome(Outcome.REJECTED, code=self.code, reason=self.reason, is_final=True)
