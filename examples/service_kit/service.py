"""The definition of an example service: a participant, event reactions, and readable state."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from choreography import Participant, Reactions

from .fault_injection import FaultRule, no_fault

StateReader = Callable[[sqlite3.Connection, str], dict[str, object]]
"""Reads the state of an order, given the order id."""

BalanceReader = Callable[[sqlite3.Connection], dict[str, object]]
"""Reads the totals to be conserved, and whether the totals are conserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A participant, with its reactions to events and its readable state.

    Args:
        reactions: The participant and its reactions to events.
        state: The answer to `GET /state/{order_id}`; `effects` names the actions with a present effect.
        balance: The answer to `GET /balance`; `None` if the service conserves no totals.
        fault_rule: Chooses the fault to inject from the data of a request; see docs/test-data.md.
        invalid_codes: Rejection codes answered with 422, because the message alone is invalid; every other
            rejection is answered with 409.
    """

    reactions: Reactions
    state: StateReader
    balance: BalanceReader | None = None
    fault_rule: FaultRule = no_fault
    invalid_codes: frozenset[str] = frozenset({"invalid_message"})

    @property
    def participant(self) -> Participant:
        """The participant of the reactions."""
        return self.reactions.participant
