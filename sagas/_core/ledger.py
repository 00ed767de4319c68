"""The ledger of a saga: the only owner of pending compensations and confirmations, and of their order.

Pure: no I/O, no clock, no Temporal. The driver of the saga records the start and the outcome of each step.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace

from .compensation import (
    CompensationOrder,
    CompensationRules,
    CompensationScope,
    OnStuck,
    ParallelCompensations,
    PendingCompensation,
    PendingConfirmation,
    PlanItem,
    SectionSpec,
    flatten,
    select,
)
from .outcome import Outcome

IN_DOUBT = (Outcome.STARTED, Outcome.UNKNOWN)
"""The outcomes of actions that may have happened without a known result."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A line of the ledger: a step or a child, with the outcome and the compensations."""

    address: str
    outcome: Outcome = Outcome.STARTED
    compensations: tuple[PlanItem, ...] = ()
    is_child: bool = False
    is_best_effort: bool = False
    is_read_only: bool = False
    sections: tuple[SectionSpec, ...] = ()
    """The sections around the step, the outermost first."""
    confirmations: tuple[PendingConfirmation, ...] = ()
    """The confirmation of the step, or the confirmations of a completed child."""

    def is_in(self, section: str) -> bool:
        """Whether the step belongs to a section, or to a section inside of the section."""
        return any(each.address == section for each in self.sections)


@dataclass(slots=True)
class Ledger:
    """The steps and children of one saga in the order of their start.

    Args:
        scope: The steps to compensate when the saga fails.
        order: Sequential or parallel compensation.
        on_stuck: Whether older compensations run while a newer one keeps failing.
    """

    scope: CompensationScope = CompensationScope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE
    entries: dict[str, LedgerEntry] = field(default_factory=dict[str, LedgerEntry])
    compensated: set[str] = field(default_factory=set[str])
    """The addresses of steps whose compensation is done or was resolved manually."""
    address_counts: dict[str, int] = field(default_factory=dict[str, int])
    """The number of addresses of each name."""
    lost: set[str] = field(default_factory=set[str])
    """The sections of alternatives that lost or failed: compensated in any case, also after the pivot."""
    on_stuck: OnStuck = OnStuck.CONTINUE
    confirmed: set[str] = field(default_factory=set[str])
    """The addresses of steps whose confirmation is done or was completed manually."""

    @property
    def rules(self) -> CompensationRules:
        """How the saga compensates."""
        return CompensationRules(self.scope, self.order, self.on_stuck)

    def next_address(self, name: str) -> str:
        """Returns a new address for a step or child: `name`, then `name#2`, `name#3` and so on."""
        count = self.address_counts[name] = self.address_counts.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"

    def start(
        self,
        address: str,
        compensation: PendingCompensation | None = None,
        *,
        is_child: bool = False,
        is_best_effort: bool = False,
        is_read_only: bool = False,
        sections: tuple[SectionSpec, ...] = (),
    ) -> None:
        """Records that a step is about to start: from here on the action may have happened."""
        self.entries[address] = LedgerEntry(
            address,
            compensations=() if compensation is None else (compensation,),
            is_child=is_child,
            is_best_effort=is_best_effort,
            is_read_only=is_read_only,
            sections=sections,
        )

    def add_confirmation(self, address: str, confirmation: PendingConfirmation) -> None:
        """Records the confirmation of a step that is about to start."""
        self.entries[address] = replace(self.entries[address], confirmations=(confirmation,))

    def complete(self, address: str, result: object = None) -> None:
        """Records that an action is done, with the result for the compensation and the confirmation."""
        entry = self.entries[address]
        compensations = tuple(
            each.model_copy(update={"arguments": (*each.arguments[:1], result)})
            if isinstance(each, PendingCompensation) and each.takes_result
            else each
            for each in entry.compensations
        )
        confirmations = tuple(
            one.model_copy(update={"arguments": (one.arguments[0], result)}) if one.takes_result else one
            for one in entry.confirmations
        )
        self.entries[address] = replace(
            entry, outcome=Outcome.DONE, compensations=compensations, confirmations=confirmations
        )

    def complete_child(
        self,
        address: str,
        compensations: tuple[PlanItem, ...],
        confirmations: tuple[PendingConfirmation, ...] = (),
    ) -> None:
        """Records that a child saga completed; the child's compensations are pending from here on."""
        entry = self.entries[address]
        self.entries[address] = replace(
            entry, outcome=Outcome.DONE, compensations=compensations, confirmations=confirmations
        )

    def fail(self, address: str, outcome: Outcome) -> None:
        """Records that an action was rejected or withdrawn, or has an unknown outcome."""
        self.entries[address] = replace(self.entries[address], outcome=outcome)

    def forget(self, address: str) -> None:
        """Records that the effect of a step stays: from here on, the step is not compensated or confirmed."""
        self.entries[address] = replace(self.entries[address], compensations=(), confirmations=())

    def lose(self, section: str) -> None:
        """Records that another alternative than the alternative of a section has won."""
        self.lost.add(section)

    def is_lost(self, sections: Iterable[SectionSpec]) -> bool:
        """Whether a step in the sections belongs to a lost alternative."""
        return bool(self.lost) and any(each.address in self.lost for each in sections)

    def mark_compensated(self, address: str) -> None:
        """Records that a compensation is done, or was resolved manually."""
        self.compensated.add(address)

    def mark_confirmed(self, address: str) -> None:
        """Records that a confirmation is done, or was completed manually."""
        self.confirmed.add(address)

    def confirmations(self) -> tuple[PendingConfirmation, ...]:
        """Returns the pending confirmations of the steps whose effect stays, in the order of their start."""
        return tuple(
            each
            for entry in self.entries.values()
            if entry.outcome is Outcome.DONE and not self.is_lost(entry.sections)
            for each in entry.confirmations
            if each.address not in self.compensated and each.address not in self.confirmed
        )

    def plan(self, *, is_past_pivot: bool = False) -> tuple[PlanItem, ...]:
        """Returns the pending compensations, in the order of execution.

        Args:
            is_past_pivot: Whether the pivot is done; past the pivot, only the compensations of lost
                alternatives are pending.
        """
        entries = list(self.entries.values())
        if is_past_pivot:
            entries = [entry for entry in entries if self.is_lost(entry.sections)]
        return self._plan(entries, 0, self.order)

    def plan_of(self, address: str) -> tuple[PlanItem, ...]:
        """Returns the pending compensations of one section, step or child, in the order of execution."""
        if (entry := self.entries.get(address)) is not None:
            return self._plan([entry], len(entry.sections), self.order)
        members = self.members(address)
        if not members:
            return ()
        path = [section.address for section in members[0].sections]
        depth = path.index(address)
        return self._plan(members, depth + 1, members[0].sections[depth].order)

    def members(self, section: str) -> tuple[LedgerEntry, ...]:
        """The steps and children of a section, also of the sections inside, in the order of their start."""
        return tuple(entry for entry in self.entries.values() if entry.is_in(section))

    def pending(self, *, is_past_pivot: bool = False) -> tuple[PendingCompensation, ...]:
        """Every compensation of the plan, the first to run first."""
        return tuple(flatten(self.plan(is_past_pivot=is_past_pivot)))

    def unresolved_children(self) -> tuple[str, ...]:
        """The children that ended without reporting pending compensations, or have not ended."""
        return tuple(e.address for e in self.entries.values() if e.is_child and e.outcome in IN_DOUBT)

    def behind_children(self, unresolved: Container[str] = ()) -> dict[str, str]:
        """The compensations that wait for a newer unresolved child, each with the newest such child.

        Only in a saga whose older compensations wait, and run one after the other.

        Args:
            unresolved: The children that are unresolved by another source than the outcome in the ledger.
        """
        waiting: dict[str, str] = {}
        if self.on_stuck is OnStuck.CONTINUE or self.order is CompensationOrder.PARALLEL:
            return waiting
        child: str | None = None
        for entry in reversed(tuple(self.entries.values())):
            if child is not None:
                waiting |= dict.fromkeys((each.address for each in flatten(entry.compensations)), child)
            elif (entry.is_child and entry.outcome in IN_DOUBT) or entry.address in unresolved:
                child = entry.address
        return waiting

    def steps_in_doubt(self, *, with_read_only: bool = False) -> tuple[str, ...]:
        """The steps that may have left an effect although the saga has no result.

        Args:
            with_read_only: Whether read-only steps count as well; read-only steps have no effect.
        """
        return tuple(
            entry.address
            for entry in self.entries.values()
            if not entry.is_best_effort
            and (with_read_only or not entry.is_read_only)
            and entry.address not in self.compensated
            and not self.is_lost(entry.sections)
            and (entry.outcome in IN_DOUBT or (entry.outcome is Outcome.REJECTED and entry.compensations))
            and self._is_compensatable(entry)
        )

    def _plan(
        self, entries: Iterable[LedgerEntry], depth: int, order: CompensationOrder
    ) -> tuple[PlanItem, ...]:
        """The plan of entries that share the first `depth` sections; each further section is one unit."""
        units: dict[str, list[LedgerEntry]] = {}
        for entry in entries:
            is_nested = len(entry.sections) > depth
            units.setdefault(entry.sections[depth].address if is_nested else entry.address, []).append(entry)
        branches: list[tuple[PlanItem, ...]] = []
        for unit in reversed(units.values()):
            sections = unit[0].sections
            if len(sections) > depth:
                branches.append(self._plan(unit, depth + 1, sections[depth].order))
            elif self._is_compensatable(unit[0]):
                pending = select(unit[0].compensations, lambda address: address not in self.compensated)
                branches.append(pending)
        branches = [branch for branch in branches if branch]
        if order is CompensationOrder.PARALLEL and len(branches) > 1:
            return (ParallelCompensations(branches=tuple(branches)),)
        return tuple(item for branch in branches for item in branch)

    def _is_compensatable(self, entry: LedgerEntry) -> bool:
        if entry.outcome is Outcome.REJECTED:
            return self.scope is CompensationScope.ATTEMPTED
        return entry.outcome is not Outcome.WITHDRAWN
