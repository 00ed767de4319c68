"""A saga in a test: open, with waits and operators' verbs; ended, with assertions."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from .._client.saga_handle import SagaHandle
from .._core.saga_outcome import Compensated, Completed, CutOff, SagaOutcome, Settled
from .._history.timeline import Timeline
from .._history.timeline_builder import build_timeline
from ..operator import SagaClient, render_timeline
from ._errors import SagaTestError
from ._participants.effect_book import EffectState
from ._participants.scripted_participants import ParticipantCall
from ._script.step_keys import ScriptKey, key_of
from ._trace import trace_of
from ._world import SagaWorld

EndingT = TypeVar("EndingT", Completed[Any], Compensated, Settled[Any], CutOff)


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaRun:
    """A saga that has ended.

    Args:
        id: The id of the saga.
        outcome: The outcome.
        trace: A line per step and compensation; see `assert_trace`.
        effects: The states of the effects at the participants, by the address of the step.
        calls: The calls that the participants received, in order.
        timeline: The timeline, as shown by `sagas show`.
    """

    id: str
    outcome: SagaOutcome[Any]
    trace: Sequence[str]
    effects: Mapping[str, EffectState]
    calls: Sequence[ParticipantCall]
    timeline: Timeline

    @property
    def remaining_effects(self) -> list[str]:
        """The addresses of the effects that are there after the end of the saga."""
        return [address for address, state in self.effects.items() if state is EffectState.APPLIED]

    def assert_outcome(self, ending: type[EndingT], **values: object) -> EndingT:
        """Asserts the class and some fields of the outcome, and returns the outcome.

        Args:
            ending: `Completed`, `Compensated`, `Settled` or `CutOff`.
            **values: Fields of the outcome: `code="card_declined"`.

        Raises:
            SagaTestError: The outcome is different.
            TypeError: The class has no field of a name.
        """
        names = {each.name for each in fields(ending)}
        if unknown := sorted(values.keys() - names):
            raise TypeError(f"{ending.__name__} has no field {', '.join(unknown)}")
        outcome = self.outcome
        if not isinstance(outcome, ending) or any(
            getattr(outcome, name) != value for name, value in values.items()
        ):
            given = ", ".join(f"{name}={value!r}" for name, value in values.items())
            raise self._error(f"the outcome is {outcome!r}, not {ending.__name__}({given})")
        return outcome

    def assert_trace(self, *lines: str) -> None:
        """Asserts all steps and compensations, in the order in which the saga started them.

        `"reserve-stock"` is a step that is done, `"capture-payment rejected"` and `"capture-payment unknown"`
        have another outcome, `"compensate reserve-stock"` is a compensation; `skipped`,
        `completed-manually` and `failing` follow where a compensation is not done. Steps in parallel stand in
        the order of their start. The steps of a child have the child's name: `"payment:capture-payment"`.

        Raises:
            SagaTestError: The trace is different; the error shows the difference.
        """
        if list(lines) != list(self.trace):
            difference = "\n".join(difflib.ndiff(lines, self.trace))
            raise self._error(f"the trace is different (- expected, + actual):\n{difference}")

    def assert_remaining_effects(self, *addresses: str) -> None:
        """Asserts the effects that are there after the end of the saga, in any order.

        Raises:
            SagaTestError: Other effects are there.
        """
        if sorted(addresses) != sorted(self.remaining_effects):
            raise self._error(f"the remaining effects are {self.remaining_effects}, not {list(addresses)}")

    def _error(self, text: str) -> SagaTestError:
        return SagaTestError(f"{text}\n\n{render_timeline(self.timeline)}")


class OpenSaga:
    """A saga that runs, in the block of `open_saga`."""

    def __init__(self, world: SagaWorld) -> None:
        self._world = world

    @property
    def id(self) -> str:
        """The id of the saga."""
        return self._world.handle.id

    @property
    def operator(self) -> SagaClient:
        """The operators' client: `show`, `preview`, and the verbs."""
        return self._world.operator

    @property
    def handle(self) -> SagaHandle[Any]:
        """The handle: `cancel()`, `signal()`, `terminate()` and the others."""
        return self._world.handle

    @property
    def calls(self) -> Sequence[ParticipantCall]:
        """The calls that the participants have received, in order."""
        return tuple(self._world.participants.calls)

    @property
    def effects(self) -> Mapping[str, EffectState]:
        """The present states of the effects at the participants, by the address of the step."""
        return self._world.participants.effects

    async def until(self, status: str, *, nth: int = 1) -> None:
        """Waits until the saga has published a status for the `nth` time: `stuck`, `held`, `compensating`.

        Raises:
            SagaTestError: The saga ends before, the workflow code fails, or the timeout passes.
        """
        await self._world.wait_for_status(status, nth=nth)

    async def until_waiting(self, name: str) -> None:
        """Waits until the saga waits for an event or an approval.

        Raises:
            SagaTestError: As in `until`.
        """
        await self._world.wait_for_wait(name)

    async def until_called(self, step: ScriptKey) -> None:
        """Waits until a participant has received a call of a step.

        Raises:
            SagaTestError: The workflow code fails, or the timeout passes.
        """
        await self._world.wait(self._world.participants.wait_called(key_of(step)))

    def release(self, step: ScriptKey) -> None:
        """Lets the calls that `blocks()` has stopped go on."""
        self._world.participants.release(key_of(step))

    async def assert_preview(self, *addresses: str) -> None:
        """Asserts the steps that would be compensated if the saga failed now, the first to run first.

        Raises:
            SagaTestError: The preview is different.
        """
        preview = await self.operator.preview(self.id)
        planned = [each.address for each in preview.compensations]
        if planned != list(addresses):
            raise SagaTestError(
                f"the preview has the compensations {planned}, not {list(addresses)}: {preview.sentence}"
            )

    async def finish(self) -> SagaRun:
        """Waits until the saga has ended; then the late calls arrive at the participants.

        Raises:
            SagaTestError: The workflow code fails, or the timeout passes.
        """
        world = self._world
        outcome = await world.outcome()
        world.participants.execute_late_calls()
        record = await world.record()
        return SagaRun(
            id=self.id,
            outcome=outcome,
            trace=trace_of(record),
            effects=world.participants.effects,
            calls=self.calls,
            timeline=build_timeline(record),
        )
