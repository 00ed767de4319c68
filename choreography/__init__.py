"""Participants that own their data: the unit of work, the fence, and (soon) the events between them."""

from ._database import Database, connect, unit_of_work
from ._errors import ContractError
from ._fence import KEY_REUSE, VOIDED, Refused
from ._participant import Answer, Handles, Participant

__all__ = [
    "KEY_REUSE",
    "VOIDED",
    "Answer",
    "ContractError",
    "Database",
    "Handles",
    "Participant",
    "Refused",
    "connect",
    "unit_of_work",
]
