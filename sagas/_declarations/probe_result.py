"""What a participant answers when it is asked what became of an action."""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from .._core.activity_outcome import ActivityOutcome
from .._core.outcome import Outcome

O = TypeVar("O")  # noqa: E741 - what comes out, as in a step


class ProbeResult(BaseModel, Generic[O]):
    """What became of an action, as its participant knows it; the answer of a probe.

    `rejected` promises that the action did not happen and never will, also if a late request comes. A
    participant that cannot promise it says `unknown`.

    Args:
        outcome: What became of it.
        result: What the action returned, if it is done.
        code: Why it was refused, if it was.
        reason: The same for people.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Literal["done", "rejected", "unknown"]
    result: O | None = None
    code: str = ""
    reason: str = ""

    def verdict(self) -> ActivityOutcome | None:
        """The same as a verdict; `None` if the participant does not know either."""
        if self.outcome == "unknown":
            return None
        if self.outcome == "done":
            return ActivityOutcome(Outcome.DONE, self.result)
        return ActivityOutcome(Outcome.REJECTED, code=self.code, reason=self.reason, is_final=True)
