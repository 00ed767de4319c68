"""What a saga takes along when its workflow continues as new."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from .._core.compensation import PendingCompensation
from .._core.ledger import Ledger
from .._core.status import Status
from .operator_requests import AuditEntry, ManualResolution


class ContinuedState(BaseModel):
    """Everything that the next run has to know besides its own input; it travels in the workflow's memo."""

    model_config = ConfigDict(frozen=True)

    ledger: Ledger
    began_at: datetime | None = None
    shown: Status | None = None
    """What its search attribute says, or its memo."""
    afterwards: tuple[PendingCompensation, ...] = ()
    by_hand: dict[str, ManualResolution] = {}
    audit: tuple[AuditEntry, ...] = ()
    unread: dict[str, list[Any]] = {}
    given_up: dict[str, datetime] = {}
    """The events that it waits for no more, and since when."""
    expires_at: datetime | None = None


CARRIED_MEMO = "saga-carried"
"""The memo of a saga that continued as new: what it had come to."""


STATE = "saga-state"
"""In the metadata of the state with which a saga continues as new."""
