"""Scripted participants: respond to every call of a saga as scripted, and keep the book of effects."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import Protocol, get_type_hints

from temporalio.exceptions import ApplicationError

from ..._core.ids import idempotency_key
from ..._declarations.probe_result import ProbeResult
from ..._errors import RejectedError
from .._errors import SagaTestError
from .._script.inputs import DuringCall, Input
from .._script.plan import SagaPlan
from .._script.responses import SAMPLE, Answers, Blocks, Fails, NeverAnswers, Rejects, Response
from .._script.step_keys import Call, StepKey, address_in_root, call_of, names_of
from .declarations import Declarations
from .effect_book import EffectBook, EffectState
from .samples import NoSampleError, sample_of


class NoAnswerError(Exception):
    """The attempt reports nothing."""


class ReceivedCall(Protocol):
    """A call as received by the world in which the saga runs."""

    @property
    def workflow_id(self) -> str:
        """The id of the workflow."""
        ...

    @property
    def activity_id(self) -> str:
        """The id of the activity."""
        ...

    @property
    def activity(self) -> str:
        """The type of the activity."""
        ...

    def message(self, kind: type | None = None) -> object:
        """The message, in a type; without a type, in the types of JSON."""
        ...


class Surroundings(Protocol):
    """The world of the participants."""

    async def deliver(self, each: Input) -> None:
        """Sends an input to the saga; returns when the saga is certain to receive the input."""

    def crash_worker(self) -> None:
        """Ends the worker, and starts another."""

    def fail(self, error: SagaTestError) -> None:
        """Fails the test."""


@dataclass(frozen=True, slots=True)
class ParticipantCall:
    """A call that a participant received.

    Args:
        address: The address of the step, seen from the root saga.
        call: The action, the compensation or the probe.
        key: The idempotency key.
        number: The number of the call with this key, from 1.
        message: The message, in the types of JSON.
    """

    address: str
    call: Call
    key: str
    number: int
    message: object


class ScriptedParticipants:
    """All participants of a saga in a test.

    Args:
        plan: The scripts and the inputs.
        declared: The declarations that the saga can name.
        surroundings: The world of the participants.
    """

    def __init__(self, plan: SagaPlan, declared: Declarations, surroundings: Surroundings) -> None:
        self.calls: list[ParticipantCall] = []
        self.book = EffectBook()
        self._plan, self._declared, self._surroundings = plan, declared, surroundings
        self._numbers: Counter[tuple[str, Call]] = Counter()
        self._late: list[Callable[[], object]] = []
        self._called: defaultdict[StepKey, asyncio.Event] = defaultdict(asyncio.Event)
        self._released: defaultdict[StepKey, asyncio.Event] = defaultdict(asyncio.Event)
        self._used = set[StepKey]()
        self._keys_without_effect = set[str]()
        self._delivered = list[Input]()

    @property
    def unused(self) -> list[str]:
        """The scripts without a call, and the inputs at moments that did not come."""
        scripts = [f"the script of {key}" for key in self._plan.scripts if key not in self._used]
        return scripts + [str(each) for each in self._plan.inputs if each not in self._delivered]

    @property
    def effects(self) -> dict[str, EffectState]:
        """The states of all effects, by the address of the step; a read-only step has no effect."""
        root, without = self._plan.saga_id, self._keys_without_effect
        return {address_in_root(root, key): effect.state for key, effect in self.book if key not in without}

    def mark_delivered(self, each: Input) -> None:
        """Records the delivery of an input."""
        self._delivered.append(each)

    async def wait_called(self, key: StepKey) -> None:
        """Waits until a participant has received a call; any name of the step stands for the step."""
        await self._called[key].wait()

    def release(self, key: StepKey) -> None:
        """Lets the blocked calls of a step go on."""
        self._released[self._scripted(key)].set()

    def execute_late_calls(self) -> None:
        """Executes the calls that arrive after the end of the saga."""
        for execute in self._late:
            # A participant refuses a late call with a voided key.
            with suppress(RejectedError):
                execute()
        self._late.clear()

    async def respond(self, received: ReceivedCall) -> object:
        """Responds to a call.

        Raises:
            RejectedError: The participant rejects the call.
            ApplicationError: The attempt fails.
            NoAnswerError: The attempt reports nothing.
        """
        call = self._record(received)
        key = StepKey(call.address, call.call)
        response = self._plan.response(key, call.number)
        if (scripted := self._plan.script_of(key)) is not None:
            self._used.add(scripted)
        for name in names_of(call.address):
            self._called[StepKey(name, call.call)].set()
        await self._deliver(key, call.number, has_effect=False)
        if isinstance(response, Blocks):
            assert scripted is not None
            await self._released[scripted].wait()
        return await self._execute_response(received, call, response)

    def _record(self, received: ReceivedCall) -> ParticipantCall:
        key = idempotency_key(received.workflow_id, received.activity_id)
        kind = call_of(received.activity_id)
        self._numbers[key, kind] += 1
        if received.activity in self._declared.read_only_activities:
            self._keys_without_effect.add(key)
        address = address_in_root(self._plan.saga_id, key)
        call = ParticipantCall(address, kind, key, self._numbers[key, kind], received.message())
        self.calls.append(call)
        return call

    async def _execute_response(
        self, received: ReceivedCall, call: ParticipantCall, response: Response
    ) -> object:
        execute = partial(self._execute, received, call, response)
        match response:
            case Rejects(code, reason, field):
                raise RejectedError(code, reason, field)
            case NeverAnswers(is_late=True):
                self._late.append(execute)
                raise NoAnswerError
            case Fails(has_effect=False) | NeverAnswers(has_effect=False):
                answer = None
            case _:
                answer = execute()
                await self._deliver(StepKey(call.address, call.call), call.number, has_effect=True)
        if isinstance(response, Fails):
            raise ApplicationError(
                "the script fails the attempt", type=response.error_type, non_retryable=response.non_retryable
            )
        if isinstance(response, NeverAnswers):
            if response.crashes:
                self._surroundings.crash_worker()
            raise NoAnswerError
        return answer

    def _execute(self, received: ReceivedCall, call: ParticipantCall, response: Response) -> object:
        """Executes a call, and returns the answer.

        Raises:
            RejectedError: The key of an action was voided or compensated.
        """
        is_scripted = isinstance(response, Answers) and not response.is_sample
        if call.call == "compensation":
            self.book.compensate(call.key)
            return self._answer(received, response) if is_scripted else None
        if call.call == "probe":
            return self._answer(received, response) if is_scripted else self._probe(call.key)
        answer = self._answer(received, response)
        first = self.book.apply(call.key, answer)
        return answer if is_scripted else first

    def _answer(self, received: ReceivedCall, response: Response) -> object:
        match response if isinstance(response, Answers) else SAMPLE:
            case Answers(compute=compute) if compute is not None:
                return compute(received.message(_message_type(compute)))
            case Answers(is_sample=True):
                return self._sample(received.activity)
            case Answers(value=value):
                return value

    def _sample(self, activity: str) -> object:
        if activity not in self._declared.result_types:
            raise self._fail(f"the kit does not find the declaration of activity {activity!r}")
        try:
            return sample_of(self._declared.result_types[activity])
        except NoSampleError as error:
            raise self._fail(f"the kit cannot answer activity {activity!r}: {error}") from error

    def _fail(self, problem: str) -> ApplicationError:
        text = f"{problem}; script the step with answers(...)"
        self._surroundings.fail(SagaTestError(text))
        return ApplicationError(text, type=SagaTestError.__name__, non_retryable=True)

    def _probe(self, key: str) -> ProbeResult[object]:
        """The outcome of the action; without an effect, the key is voided against a late action."""
        effect = self.book.get(key)
        if effect is not None and effect.state is EffectState.APPLIED:
            return ProbeResult[object](outcome="done", result=effect.result)
        self.book.void(key)
        return ProbeResult[object](outcome="rejected", code="not_found", reason="the action has no effect")

    async def _deliver(self, key: StepKey, number: int, *, has_effect: bool) -> None:
        if number > 1:
            return
        for each in self._plan.inputs_during(DuringCall(key, has_effect), key.step):
            if each not in self._delivered:
                self.mark_delivered(each)
                await self._surroundings.deliver(each)

    def _scripted(self, key: StepKey) -> StepKey:
        return self._plan.script_of(key) or key


def _message_type(compute: Callable[..., object]) -> type | None:
    """The annotation of the first parameter."""
    hints = get_type_hints(compute) if isinstance(compute, FunctionType) else {}
    return next((kind for name, kind in hints.items() if name != "return"), None)
