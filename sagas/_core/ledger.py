"""What has happened in a saga, and what therefore must be compensated: the one pure place that decides it.

No I/O, no clock, no Temporal. The ledger is told what is about to start and how it ended; it says what is
owed, and in which order.
"""

from dataclasses import dataclass, field, replace

from .._errors import DefinitionError
from .compensation import (
    CompensationOrder,
    CompensationScope,
    ParallelCompensations,
    PendingCompensation,
    PlanItem,
    flatten,
    select,
)
from .lifecycle import Phase
from .outcome import Outcome


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the ledger: a step or a child, and how it ended."""

    address: str
    outcome: Outcome = Outcome.STARTED
    owed: tuple[PlanItem, ...] = ()
    is_child: bool = False
    is_best_effort: bool = False


@dataclass(slots=True)
class Ledger:
    """The steps of one saga in the order of their start, and what remains to be made up for.

    Args:
        scope: Which steps are compensated when the saga fails.
        order: One compensation after the other, or all at once.
    """

    scope: CompensationScope = CompensationScope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE
    phase: Phase = Phase.FORWARD
    entries: dict[str, LedgerEntry] = field(default_factory=dict[str, LedgerEntry])
    made_up: set[str] = field(default_factory=set[str])
    _count: dict[str, int] = field(default_factory=dict[str, int])

    def address_of(self, name: str) -> str:
        """A new address for a step or child called `name`: `name`, then `name#2`, `name#3` and so on."""
        count = self._count[name] = self._count.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    def start(
        self,
        address: str,
        compensation: PendingCompensation | None = None,
        *,
        is_child: bool = False,
        is_best_effort: bool = False,
    ) -> None:
        """Notes that a step is about to start; from here on it may have happened.

        Raises:
            DefinitionError: The saga is compensating: nothing goes forward any more.
        """
        if self.phase is Phase.COMPENSATING:
            raise DefinitionError(f"step {address!r} cannot start: the saga is compensating")
        owed = () if compensation is None or self.phase is Phase.PAST_PIVOT else (compensation,)
        self.entries[address] = LedgerEntry(
            address, owed=owed, is_child=is_child, is_best_effort=is_best_effort
        )

    def done(self, address: str, result: object = None) -> None:
        """Notes that an action happened, with its result for a compensation that asks for it."""
        entry = self.entries[address]
        owed = tuple(
            c.model_copy(update={"arguments": (*c.arguments[:1], result)})
            if isinstance(c, PendingCompensation) and c.takes_result
            else c
            for c in entry.owed
        )
        self.entries[address] = replace(entry, outcome=Outcome.DONE, owed=owed)

    def closed(self, address: str, owed: tuple[PlanItem, ...]) -> None:
        """Notes that a child saga completed; what it owes, in its own order, is owed here from now on."""
        kept = () if self.phase is Phase.PAST_PIVOT else owed
        self.entries[address] = replace(self.entries[address], outcome=Outcome.DONE, owed=kept)

    def failed(self, address: str, outcome: Outcome) -> None:
        """Notes that an action was rejected or withdrawn, or that its outcome is unknown."""
        self.entries[address] = replace(self.entries[address], outcome=outcome)

    def pass_pivot(self) -> None:
        """Notes that the pivot is done: nothing from before it is owed any more.

        Raises:
            DefinitionError: There was a pivot before, or the saga is compensating.
        """
        if self.phase is not Phase.FORWARD:
            raise DefinitionError("a saga has one pivot, before any compensation")
        self.phase = Phase.PAST_PIVOT

    def begin_compensation(self) -> None:
        """Notes that the saga turns round.

        Raises:
            DefinitionError: The pivot is behind it.
        """
        if self.phase is Phase.PAST_PIVOT:
            raise DefinitionError("nothing is compensated after the pivot")
        self.phase = Phase.COMPENSATING

    def mark_compensated(self, address: str) -> None:
        """Notes that a compensation is through, or was settled by hand."""
        self.made_up.add(address)

    def plan(self) -> tuple[PlanItem, ...]:
        """What would have to run now to make up for everything, in its order; empty after the pivot."""
        if self.phase is Phase.PAST_PIVOT:
            return ()
        newest_first = reversed(self.entries.values())
        remaining = [entry.owed for entry in newest_first if self._counts(entry)]
        lanes = [select(owed, lambda address: address not in self.made_up) for owed in remaining]
        lanes = [lane for lane in lanes if lane]
        if self.order is CompensationOrder.PARALLEL and len(lanes) > 1:
            return (ParallelCompensations(lanes=tuple(lanes)),)
        return tuple(part for lane in lanes for part in lane)

    def owed(self) -> tuple[PendingCompensation, ...]:
        """Every compensation of the plan, the first to be run first."""
        return tuple(flatten(self.plan()))

    def lost(self) -> tuple[str, ...]:
        """The children that ended without telling what they owe; only their history knows."""
        without_a_word = (Outcome.UNKNOWN, Outcome.STARTED)
        return tuple(e.address for e in self.entries.values() if e.is_child and e.outcome in without_a_word)

    def in_doubt(self) -> tuple[str, ...]:
        """The steps that may have left an effect which nobody has counted on: not done, but owed."""
        nobody_knows = (Outcome.UNKNOWN, Outcome.STARTED)
        return tuple(
            entry.address
            for entry in self.entries.values()
            if not entry.is_best_effort
            and (entry.outcome in nobody_knows or (entry.outcome is Outcome.REJECTED and entry.owed))
            and self._counts(entry)
        )

    def _counts(self, entry: LedgerEntry) -> bool:
        if entry.outcome is Outcome.REJECTED:
            return self.scope is CompensationScope.ATTEMPTED
        return entry.outcome is not Outcome.WITHDRAWN
