"""What an operator may ask of a running saga: the requests, by the names of their updates."""

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

HOLD, RESUME, RETRY = "saga-hold", "saga-resume", "saga-retry"
SKIP, COMPLETE, COMPENSATE, APPROVE = "saga-skip", "saga-complete", "saga-compensate", "saga-approve"


class OperatorNote(BaseModel):
    """Who steps in, and why; it stays in the saga's history.

    Args:
        by: Who asks.
        because: The reason, for those who read the audit trail.
        roles: What the person may do here, as far as whoever passes the request on knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    because: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    roles: frozenset[str] = frozenset()


class SkipRequest(OperatorNote):
    """A compensation that will not be done, or a pivot of which a person knows that it did not happen.

    Args:
        step: The address of the step that is stuck: `reserve-stock`, `payment:capture-payment`.
    """

    step: str


class CompleteRequest(OperatorNote):
    """Something was done by hand: a compensation, the pivot, or a step after it.

    Args:
        step: The address of the step that is stuck.
        result: What its action would have returned, as JSON; not for a compensation.
    """

    step: str
    result: object = None


class ApprovalRequest(OperatorNote):
    """A decision that a saga waits for.

    Args:
        approval: Its name in the saga.
        is_approved: Whether it may go on.
    """

    approval: str
    is_approved: bool = True


class AuditEntry(BaseModel):
    """One verb that was carried out.

    Args:
        verb: The name of its update.
        at: When, in ISO 8601, UTC.
        by: Who asked for it.
        because: Why.
        about: The step or the approval that it was about, if any.
        is_approved: The decision, where it was one.
    """

    model_config = ConfigDict(frozen=True)

    verb: str
    at: str
    by: str
    because: str
    about: str = ""
    is_approved: bool | None = None

    @property
    def words(self) -> str:
        """What was asked, for people: `skip reserve-stock`, `approve large-order (no)`."""
        answer = "" if self.is_approved is None else "(yes)" if self.is_approved else "(no)"
        return " ".join(filter(None, (self.verb.removeprefix("saga-"), self.about, answer)))


Authorize = Callable[[str, OperatorNote], str | None]
"""Says why somebody may not use a verb, in a sentence, or nothing; see `SagaPlugin`."""
