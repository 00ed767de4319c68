"""What a saga takes along when its workflow continues as new."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from .._ledger import Compensation, Ledger
from .._status import Status
from .._verbs import AuditEntry, ByHand


class Carried(BaseModel):
    """Everything that the next run has to know besides its own input; it travels in the workflow's memo."""

    model_config = ConfigDict(frozen=True)

    ledger: Ledger
    began_at: datetime | None = None
    shown: Status | None = None
    """What its search attribute says, or its memo."""
    afterwards: tuple[Compensation, ...] = ()
    by_hand: dict[str, ByHand] = {}
    audit: tuple[AuditEntry, ...] = ()
    unread: dict[str, list[Any]] = {}
    given_up: dict[str, datetime] = {}
    """The events that it waits for no more, and since when."""
    expires_at: datetime | None = None
