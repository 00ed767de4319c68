"""A section of a saga: a savepoint, to which a saga can return in order to go another way."""

import asyncio
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from temporalio import workflow

from .._core.compensation import SectionSpec
from .._core.lifecycle import Phase
from .._errors import (
    DeadlineExceededError,
    DefinitionError,
    SectionCompensatedError,
    TooLateError,
)
from .._run.bugs import fail_task_for_bug, first_error_of, is_failure
from .._run.forward_check import check_forward, is_compensation_requested, wait_until_forward
from .._run.open_section import OpenSection, current_section, enter_section
from .._run.scope import Scope
from .._wire.failures import first_failure, kind_of
from .unit_compensation import UnitCompensation


class Section:
    """Steps that are compensated as a unit; made by `Saga.section`."""

    def __init__(
        self, scope: Scope, units: UnitCompensation, spec: SectionSpec, timeout: timedelta | None
    ) -> None:
        self._scope, self._units = scope, units
        self._spec, self._timeout = spec, timeout
        self._section: OpenSection | None = None
        self._owner: asyncio.Task[Any] | None = None
        self._timer: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """The address of the section in the saga: the name, and `name#2` for a second section of the name."""
        return self._spec.address

    async def __aenter__(self) -> Self:
        if self._section is not None:
            raise DefinitionError(f"section {self.address!r} was entered before: make a section for each use")
        await wait_until_forward(self._scope)
        if self._scope.lifecycle.is_past_pivot:
            raise TooLateError(
                f"section {self.address!r} comes after the pivot, where nothing is compensated"
            )
        outer = current_section()
        self._section = OpenSection(path=(*(outer.path if outer else ()), self._spec), outer=outer)
        self._scope.under_way[self.address] = self._section.path
        enter_section(self._section)
        if self._timeout is not None:
            self._owner = asyncio.current_task()
            self._timer = asyncio.create_task(self._expire(self._timeout))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        section = self._section
        assert section is not None
        # An eviction or continue-as-new is no end of the section: no code of the saga may run.
        if error is not None and not isinstance(error, (Exception, asyncio.CancelledError)):
            return
        try:
            failure = await self._failure(section, error)
            if failure is not None:
                await fail_task_for_bug(failure)
            section.is_open = False
            if failure is not None and is_failure(failure):
                await self._compensate(section, failure)
        finally:
            section.is_open = False
            del self._scope.under_way[self.address]

    async def compensate(self) -> None:
        """Compensates the completed section: the steps of the section, in the order of the section.

        The saga goes on afterwards. While a compensation keeps failing, the saga is stuck.

        Raises:
            DefinitionError: The section has not ended, or was compensated, or the saga is past the pivot.
            asyncio.CancelledError: The saga compensates.
        """
        if self._section is None or self._section.is_open:
            raise DefinitionError(
                f"section {self.address!r} has not ended: an error that leaves the section compensates the "
                "section"
            )
        await self._units.compensate_section(self.address)

    async def _failure(self, section: OpenSection, error: BaseException | None) -> BaseException | None:
        """Waits for steps in other tasks; returns the error of the section, None for a completed section."""
        if error is None:
            try:
                await workflow.wait_condition(lambda: not self._units.is_under_way(self.address))
            except asyncio.CancelledError as cancelled:
                error = cancelled
        if self._timer is not None:
            self._timer.cancel()
        enter_section(section.outer)
        if section.is_overdue and self._owner is not None:
            self._owner.uncancel()
            if error is None or isinstance(error, asyncio.CancelledError):
                error = DeadlineExceededError(f"section {self.address!r}")
        return error

    async def _compensate(self, section: OpenSection, failure: BaseException) -> None:
        """Compensates the section, unless the saga compensates all of the steps in any case."""
        if is_compensation_requested(self._scope) or self._scope.lifecycle.phase is Phase.COMPENSATING:
            check_forward(self._scope)
        await self._units.run_uncancelled(self.address)
        check_forward(self._scope)
        if isinstance(failure, asyncio.CancelledError):
            # The branch was cancelled, or a timeout of the calling code is over.
            raise failure
        first = first_error_of(failure) if isinstance(failure, Exception) else failure
        compensated = SectionCompensatedError(section.address, *first_failure(first))
        compensated.kind = kind_of(first)
        raise compensated from failure

    async def _expire(self, timeout: timedelta) -> None:
        await workflow.sleep(timeout, summary=f"until section {self.address} is overdue")
        assert self._section is not None
        assert self._owner is not None
        self._section.is_overdue = True
        self._owner.cancel()
