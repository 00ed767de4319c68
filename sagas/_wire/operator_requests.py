"""Requests of operators to running sagas, and the audit trail of executed requests and forgotten steps."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from .stored_model import StoredModel

HOLD, RESUME, RETRY = "saga-hold", "saga-resume", "saga-retry"
SKIP, COMPLETE, COMPENSATE, APPROVE = "saga-skip", "saga-complete", "saga-compensate", "saga-approve"
FORGOTTEN_MEMO = "saga-forgotten-steps"
"""The memo of a saga that has forgotten steps; the value is `ForgottenSteps`."""

COMPENSATION_REQUESTED = "compensation-requested"
"""The answer to `compensate` while steps are under way: the saga compensates when the steps have ended,
unless the pivot is done then."""


class OperatorRequest(BaseModel):
    """The request of an operator: the fields shared by the requests of all verbs.

    The saga's history keeps the request of every executed verb.

    Args:
        by: The operator.
        because: The reason, for readers of the audit trail.
        roles: The roles of the operator, as claimed by the sender of the request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    because: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    roles: frozenset[str] = frozenset()


class SkipRequest(OperatorRequest):
    """Skips a compensation that cannot run and need not run, or a pivot that did not happen.

    Args:
        step: The address of the stuck step: `reserve-stock`, `payment:capture-payment`.
    """

    step: str


class CompleteRequest(OperatorRequest):
    """Marks a compensation, the pivot, or a step after the pivot as done manually.

    Args:
        step: The address of the stuck step.
        result: The result of the action, as JSON; None for a compensation.
    """

    step: str
    result: object = None


class ApproveRequest(OperatorRequest):
    """Decides an approval.

    Args:
        approval: The name of the approval in the saga.
        is_approved: The decision.
    """

    approval: str
    is_approved: bool = True


class AuditEntry(BaseModel):
    """An executed verb in the audit trail of a saga.

    Args:
        verb: The name of the update: `saga-hold`.
        at: The time in ISO 8601, UTC, in whole seconds.
        by: The operator.
        because: The reason.
        target: The step or the approval in the request, else empty.
        is_approved: The decision on an approval; None for every other verb.
    """

    model_config = ConfigDict(frozen=True)

    verb: str
    at: str
    by: str
    because: str
    target: str = ""
    is_approved: bool | None = None

    @classmethod
    def from_request(cls, verb: str, request: Mapping[str, object], at: datetime) -> Self:
        """Makes the entry of an executed request.

        Args:
            verb: The name of the update.
            request: The fields of the request, by name; missing texts become empty.
            at: The time of execution, with a time zone.
        """
        return cls.model_validate(
            {
                "verb": verb,
                "at": at.isoformat(timespec="seconds"),
                "by": str(request.get("by", "")),
                "because": str(request.get("because", "")),
                "target": str(request.get("step") or request.get("approval") or ""),
                "is_approved": request.get("is_approved", True) if verb == APPROVE else None,
            }
        )

    @classmethod
    def of_forgotten_step(cls, address: str, because: str, at: datetime) -> Self:
        """Makes the entry of a step whose compensation the saga's own code has dropped."""
        return cls.from_request("saga-forget", {"by": "the saga", "because": because, "step": address}, at)

    @property
    def words(self) -> str:
        """The verb and the target for people: `skip reserve-stock`, `approve large-order (no)`."""
        decision = "" if self.is_approved is None else "(yes)" if self.is_approved else "(no)"
        return " ".join(filter(None, (self.verb.removeprefix("saga-"), self.target, decision)))


class ForgottenSteps(StoredModel):
    """The forgotten steps of a run, in the memo of the workflow: no rescue may compensate these steps.

    Args:
        reasons: The reason for each address.
    """

    reasons: dict[str, str] = Field(default_factory=dict[str, str])


Authorize = Callable[[str, OperatorRequest], str | None]
"""A check of requests, given to `SagaPlugin(authorize=...)`.

The function takes the verb and the request, and returns the reason of a refusal, or None to allow the
request."""
