"""The schema of a participant's database."""

from .._declarations.participant import Participant
from . import fence, inbox, outbox


def build_schema(participant: Participant) -> str:
    """Builds the SQL of all tables of a participant: fence, inbox, outbox, and the business tables."""
    return fence.SCHEMA + inbox.SCHEMA + outbox.SCHEMA + participant.tables
