"""Approvals: decisions of people for a waiting saga."""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict
from temporalio import workflow

from .._errors import DeadlineExceededError, DefinitionError, RejectedError
from .._run.scope import Scope
from .._wire.operator_requests import ApproveRequest
from .._wire.timer_summaries import until_approved

NOT_APPROVED = "not_approved"
"""The code of the rejection when a person decides against the saga."""


class ApprovalDecision(BaseModel):
    """A person's approval of a saga.

    Args:
        by: The person.
        because: The reason.
        at: The time of the decision, in UTC.
    """

    model_config = ConfigDict(frozen=True)

    by: str
    because: str
    at: datetime


class Approvals:
    """Waits for decisions and takes decisions.

    Args:
        scope: The saga.
    """

    def __init__(self, scope: Scope) -> None:
        self._awaited = scope.awaited_approvals
        self._decided: dict[str, ApproveRequest] = {}

    async def wait(self, name: str, role: str, timeout: timedelta) -> ApprovalDecision:
        """Waits for a decision.

        Raises:
            RejectedError: The person decided against the saga; the code is `not_approved`.
            DeadlineExceededError: The decision did not come in time.
            DefinitionError: The saga waits for an approval of this name already.
        """
        if name in self._awaited:
            raise DefinitionError(f"approval {name!r} is waited for already: give each its own name")
        self._decided.pop(name, None)
        self._awaited[name] = role
        try:
            await workflow.wait_condition(
                lambda: name in self._decided, timeout=timeout, timeout_summary=until_approved(name, role)
            )
        except TimeoutError:
            raise DeadlineExceededError(f"approval {name!r}") from None
        finally:
            del self._awaited[name]
        request = self._decided.pop(name)
        if not request.is_approved:
            raise RejectedError(NOT_APPROVED, f"{name}: {request.by} decided against it: {request.because}")
        return ApprovalDecision(by=request.by, because=request.because, at=workflow.now())

    def refusal(self, request: ApproveRequest) -> str | None:
        """The reason why a decision cannot be taken, as a sentence."""
        role = self._awaited.get(request.approval)
        if role is None or request.approval in self._decided:
            return refusal_of_unawaited(request, self._awaited)
        if role not in request.roles:
            return (
                f"approval {request.approval!r} takes the role {role!r}, which {request.by!r} does not have"
            )
        return None

    def decide(self, request: ApproveRequest) -> None:
        """Records a decision without a refusal."""
        self._decided[request.approval] = request


def refusal_of_unawaited(request: ApproveRequest, awaited: dict[str, str]) -> str:
    """Returns the reason why the saga refuses an approval without a waiting call, as a sentence."""
    waits = [f"waits for approval {name!r} by {role}" for name, role in awaited.items()]
    return f"approval {request.approval!r} is not waited for: {', '.join(waits) or 'it waits for none'}"
