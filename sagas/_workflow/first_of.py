"""Alternatives of a saga: the first answer wins, and every other alternative is compensated."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Generic, TypeVar

from temporalio import workflow

from .._core.compensation import SectionSpec
from .._errors import DefinitionError, TooLateError
from .._run.bugs import fail_task_for_bug
from .._run.cancellation_shield import CancellationShield
from .._run.forward_check import check_forward, wait_until_forward
from .._run.scope import Scope
from .parallel import refuse_other_than_coroutines, with_notes
from .section import Section
from .unit_compensation import UnitCompensation

T = TypeVar("T")

NAME = "alternative"
"""The name of the section of each alternative."""


class FirstOf:
    """Runs alternatives of a saga.

    Args:
        scope: The saga.
        units: Compensates the lost alternatives.
    """

    def __init__(self, scope: Scope, units: UnitCompensation) -> None:
        self._scope, self._units = scope, units

    async def run(
        self, bodies: Sequence[Coroutine[object, None, T]], after: timedelta | None, *, is_hedged: bool
    ) -> T:
        """Runs alternatives until the first answer; the others are compensated in the background.

        Raises:
            DefinitionError: An alternative is not a coroutine, or the saga is past the pivot.
            Exception: The first failure, if all alternatives have failed.
            asyncio.CancelledError: The saga compensates, or the calling branch was cancelled.
        """
        refuse_other_than_coroutines(bodies, "first_of")
        race: _Race[T] = _Race(self._scope, self._units)
        try:
            if not bodies:
                raise DefinitionError("`first_of` takes at least one alternative")
            await wait_until_forward(self._scope)
            if self._scope.lifecycle.is_past_pivot:
                raise TooLateError("`first_of` comes after the pivot, where nothing is compensated")
            await _run_in_turn(race, bodies, after, is_hedged=is_hedged)
        except asyncio.CancelledError:
            await race.cancel()
            raise
        finally:
            for body in bodies[len(race.alternatives) :]:
                body.close()  # Otherwise Python warns that the coroutine was never awaited.
        check_forward(self._scope)
        return race.result()


async def _run_in_turn(
    race: "_Race[T]",
    bodies: Sequence[Coroutine[object, None, T]],
    after: timedelta | None,
    *,
    is_hedged: bool,
) -> None:
    """Starts one alternative after the other until the race is decided."""
    for number, body in enumerate(bodies, start=1):
        alternative = race.start(body)
        limit = after if number < len(bodies) else None
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda alternative=alternative: race.is_decided or alternative.has_failed,  # type: ignore[misc]  # mypy infers no types for a default
                timeout=limit,
                timeout_summary="until the next alternative",
            )
        if race.is_decided:
            break
        if not alternative.has_failed and limit is not None and not is_hedged:
            alternative.lose()
    await workflow.wait_condition(lambda: race.is_decided or race.has_failed)
    await race.end()


class _Race(Generic[T]):
    """The alternatives that have started, and the winner."""

    def __init__(self, scope: Scope, units: UnitCompensation) -> None:
        self._scope, self._units = scope, units
        self.alternatives: list[_Alternative[T]] = []
        self.winner: _Alternative[T] | None = None

    @property
    def is_decided(self) -> bool:
        """Whether an alternative has answered."""
        return self.winner is not None

    @property
    def has_failed(self) -> bool:
        """Whether no alternative can answer any more."""
        return all(each.has_failed or each.is_lost for each in self.alternatives)

    def start(self, body: Coroutine[object, None, T]) -> "_Alternative[T]":
        """Starts an alternative in a section of its own."""
        spec = SectionSpec(address=self._scope.ledger.next_address(NAME))
        section = Section(self._scope, self._units, spec, None)
        alternative = _Alternative(self, self._scope, section, body)
        self.alternatives.append(alternative)
        return alternative

    async def end(self) -> None:
        """Waits for the end of the winner, while the others lose."""
        for each in self.alternatives:
            if each is not self.winner:
                each.lose()
        if (winner := self.winner) is not None:
            await workflow.wait_condition(winner.task.done)

    async def cancel(self) -> None:
        """Interrupts all alternatives, and waits until all have ended."""
        for each in self.alternatives:
            each.shield.interrupt()
        while not all(each.task.done() for each in self.alternatives):
            with suppress(asyncio.CancelledError):
                await workflow.wait_condition(lambda: all(each.task.done() for each in self.alternatives))

    def result(self) -> T:
        """The answer of the winner.

        Raises:
            Exception: The first failure of all alternatives.
        """
        if self.winner is None:
            failures = [each.failure for each in self.alternatives if each.failure is not None]
            raise with_notes(failures, "alternative")
        self.winner.task.result()
        (answer,) = self.winner.answers
        return answer


class _Alternative(Generic[T]):
    """An alternative under way, in a section and a task of its own."""

    def __init__(
        self, race: _Race[T], scope: Scope, section: Section, body: Coroutine[object, None, T]
    ) -> None:
        self.shield = CancellationShield()
        self.failure: BaseException | None = None
        self.answers: list[T] = []
        self.is_lost = False
        self._race, self._scope, self._section = race, scope, section
        self.task = asyncio.create_task(self._protect(body))

    @property
    def has_failed(self) -> bool:
        """Whether the alternative ended with a failure."""
        return self.failure is not None

    def lose(self) -> None:
        """Cancels the alternative, which compensates from here on."""
        if self.is_lost:
            return
        self.is_lost = True
        self._scope.ledger.lose(self._section.address)
        self._scope.lost_alternatives.append(self.task)
        self.shield.interrupt()

    async def _protect(self, body: Coroutine[object, None, T]) -> None:
        try:
            # The race raises the first failure; a failure after the race changes nothing.
            with suppress(Exception):
                await self.shield.protect(self._run(body))
        finally:
            body.close()  # The section may have been refused.

    async def _run(self, body: Coroutine[object, None, T]) -> None:
        async with self._section:
            try:
                answer = await body
                check_forward(self._scope)
            except Exception as error:
                await fail_task_for_bug(error)
                self.failure = error
                raise
            if self._race.winner is not None:
                raise asyncio.CancelledError("another alternative has answered first")
            self._race.winner = self
            self.answers.append(answer)
