"""Compensation of one unit, a section, a step or a child, while the saga goes forward."""

from temporalio import workflow

from .._core.outcome import Outcome
from .._errors import DefinitionError, TooLateError
from .._execution.retry_loop import RetryLoop
from .._run.cancellation_shield import run_uncancelled
from .._run.forward_check import check_forward, wait_until_forward
from .._run.scope import Scope, SectionPath
from .._wire.operator_requests import FORGOTTEN_MEMO, AuditEntry, ForgottenSteps

MOST_NAMED = 20
"""The most steps named in an error."""


class UnitCompensation:
    """Compensates single units of a saga, each at most once.

    Args:
        scope: The saga.
        retry_loop: Runs the compensations until all succeed.
    """

    def __init__(self, scope: Scope, retry_loop: RetryLoop) -> None:
        self._scope, self._retry_loop = scope, retry_loop
        self._forgotten: dict[str, str] = {}

    async def compensate_step(self, address: str) -> None:
        """Compensates a step or child.

        Raises:
            DefinitionError: The saga has no such step, or the step has no pending compensation.
            asyncio.CancelledError: The saga compensates.
        """
        await wait_until_forward(self._scope)
        self._check_step(address)
        await self.run_uncancelled(address)
        check_forward(self._scope)

    async def compensate_section(self, address: str) -> None:
        """Compensates a completed section.

        Raises:
            DefinitionError: The section has no pending compensation.
            asyncio.CancelledError: The saga compensates.
        """
        await wait_until_forward(self._scope)
        self._check_before_pivot(f"the compensation of section {address!r}")
        if not self._scope.ledger.plan_of(address) and not self._unresolved_children(address):
            raise DefinitionError(f"section {address!r} has no pending compensation")
        await self.run_uncancelled(address)
        check_forward(self._scope)

    async def run_uncancelled(self, unit: str) -> None:
        """Compensates a unit to the end, even if the workflow is cancelled meanwhile."""
        name = f"the compensation of {unit}"
        self._scope.under_way[name] = self._sections_around(unit)
        try:
            await run_uncancelled(self._run(unit))
        finally:
            del self._scope.under_way[name]

    def is_under_way(self, unit: str) -> bool:
        """Whether a step of the unit is under way, also in another task of the workflow."""
        entries = self._scope.ledger.entries
        return any(
            address in entries and (address == unit or entries[address].is_in(unit))
            for address in self._scope.under_way
        )

    def forget(self, address: str, because: str) -> None:
        """Drops the pending compensation of a step, and writes the address and the reason into the history.

        Raises:
            DefinitionError: The step is not done, or has no pending compensation.
        """
        self._check_step(address)
        outcome = self._scope.ledger.entries[address].outcome
        if outcome is not Outcome.DONE:
            raise DefinitionError(
                f"the outcome of {address!r} is {outcome.value}: only a step that is done can be forgotten"
            )
        self._scope.ledger.forget(address)
        self._forgotten[address] = because
        self._scope.audit_trail.append(AuditEntry.of_forgotten_step(address, because, workflow.now()))
        workflow.upsert_memo({FORGOTTEN_MEMO: ForgottenSteps(reasons=self._forgotten)})

    async def _run(self, unit: str) -> None:
        ledger = self._scope.ledger
        # A task of the workflow may have a step under way: a compensation never overtakes the action.
        await workflow.wait_condition(lambda: not self.is_under_way(unit))
        await self._retry_loop.compensate(lambda: ledger.plan_of(unit), unit)
        for child in self._unresolved_children(unit):
            await self._retry_loop.wait_for_child_resolution(child)
        self._scope.publish()

    def _sections_around(self, unit: str) -> SectionPath:
        """The sections around a unit; a section is in itself."""
        ledger = self._scope.ledger
        if unit in ledger.entries:
            return ledger.entries[unit].sections
        members = ledger.members(unit)
        return members[0].sections if members else ()

    def _unresolved_children(self, section: str) -> tuple[str, ...]:
        ledger = self._scope.ledger
        return tuple(each for each in ledger.unresolved_children() if ledger.entries[each].is_in(section))

    def _check_step(self, address: str) -> None:
        self._check_before_pivot(f"the compensation of {address!r}")
        ledger = self._scope.ledger
        if address not in ledger.entries:
            latest = list(ledger.entries)[-MOST_NAMED:]
            known = ", ".join(map(repr, latest)) or "no step"
            steps = "the steps" if len(latest) == len(ledger.entries) else "the latest steps"
            raise DefinitionError(f"the saga has no step {address!r}: {steps} are {known}")
        if address in self._scope.under_way:
            raise DefinitionError(f"{address!r} is under way: a step is compensated after the end")
        if not ledger.plan_of(address):
            raise DefinitionError(
                f"{address!r} has no pending compensation: the step was rejected, was compensated or "
                "forgotten already, or has no compensation"
            )

    def _check_before_pivot(self, what: str) -> None:
        if self._scope.lifecycle.is_past_pivot:
            raise TooLateError(f"{what} comes after the pivot, where nothing is compensated")
