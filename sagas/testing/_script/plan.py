"""A saga to run in a test, as data: the workflow, the scripts and the inputs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from .inputs import DuringCall, Input, WhileWaiting
from .responses import SAMPLE, NeverAnswers, Response, Script, check_script
from .step_keys import ScriptKey, StepKey, call_of, key_of, names_of

TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of a saga in a test.

    Args:
        saga_id: The id of the saga; by default a new id for each run.
        workflows: Workflow classes of children, where the saga's module does not name the classes.
        activities: Real activities; they take the place of the scripted participants with the same name.
        timeout: The longest real time of every wait in a test.
        skips_time: Whether the server skips the time in which the saga only waits. The server needs the
            dynamic configuration `frontend.WorkflowTimeSkippingEnabled=true`.
        replays: Whether the histories of the saga and the children are replayed at the end of the test.
        max_cached_workflows: The number of workflows that the worker keeps in memory; with 0, every workflow
            task replays the saga from the start.
    """

    saga_id: str | None = None
    workflows: Sequence[type] = ()
    activities: Sequence[Callable[..., object]] = ()
    timeout: timedelta = TIMEOUT
    skips_time: bool = True
    replays: bool = True
    max_cached_workflows: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaPlan:
    """A saga to run, with everything that participants and people do meanwhile.

    Args:
        run: The run method of the saga's workflow class.
        message: The argument of the run method.
        steps: The steps with a script, as given.
        scripts: The responses of participants, by call.
        inputs: The inputs of the saga.
        options: Further options.
    """

    run: Callable[..., Awaitable[object]]
    message: object
    steps: tuple[ScriptKey, ...]
    scripts: Mapping[StepKey, Script]
    inputs: tuple[Input, ...]
    options: RunOptions
    saga_id: str = field(init=False)
    """The id of the saga in the options, or a new id."""

    def __post_init__(self) -> None:
        # Options may be shared by several runs, each of which is another saga.
        object.__setattr__(self, "saga_id", self.options.saga_id or f"test-{uuid4().hex[:12]}")

    @property
    def inputs_while_waiting(self) -> tuple[Input, ...]:
        """The inputs for which the saga waits, in order."""
        return tuple(each for each in self.inputs if isinstance(each.moment, WhileWaiting))

    def inputs_during(self, call: DuringCall, address: str) -> tuple[Input, ...]:
        """The inputs at a moment of a call of the step at an address."""
        return tuple(
            each
            for each in self.inputs
            if isinstance(each.moment, DuringCall)
            and (each.moment.has_effect, each.moment.key.call) == (call.has_effect, call.key.call)
            and each.moment.key.step in names_of(address)
        )

    def script_of(self, key: StepKey) -> StepKey | None:
        """The key of the script for a call; the most precise name counts."""
        return next(
            (each for name in names_of(key.step) if (each := StepKey(name, key.call)) in self.scripts), None
        )

    def response(self, key: StepKey, number: int) -> Response:
        """The response to a call.

        Args:
            key: The call, with the address of the step.
            number: The number of the call with the same idempotency key, from 1.
        """
        scripted = self.script_of(key)
        if scripted is None:
            return SAMPLE
        script = self.scripts[scripted]
        if isinstance(script, Response):
            return script
        return script[number - 1] if number <= len(script) else SAMPLE

    def may_hang(self, activity_id: str, address: str) -> bool:
        """Whether an attempt of an activity may report nothing; after a crash, every attempt may."""
        responses = {
            key: [each] if isinstance(each, Response) else each for key, each in self.scripts.items()
        }
        silent = {
            key: each
            for key, script in responses.items()
            for each in script
            if isinstance(each, NeverAnswers)
        }
        if any(each.crashes for each in silent.values()):
            return True
        local = {name.rpartition(":")[2] for name in names_of(address)}
        return any(
            key.call == call_of(activity_id) and key.step.rpartition(":")[2] in local for key in silent
        )


def scripts_of(steps: Mapping[ScriptKey, Script]) -> dict[StepKey, Script]:
    """The scripts by call.

    Raises:
        DefinitionError: A script is not made of responses.
    """
    return {key_of(key): check_script(str(key_of(key)), script) for key, script in steps.items()}
