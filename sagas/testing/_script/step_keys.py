"""Keys of scripts: the action, the compensation, the confirmation or the probe of a step."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..._core.ids import COMPENSATE, CONFIRM, PROBE
from ..._declarations.step import Action, Step
from ..._errors import DefinitionError

Call: TypeAlias = Literal["action", "compensation", "confirmation", "probe"]
"""The part of a step that calls a participant."""

StepName: TypeAlias = Step[Any, Any] | Action[Any, Any] | str
"""A step, or the name or the address of a step: `reserve-stock`, `reserve-stock#2`, `payment:capture`."""


@dataclass(frozen=True, slots=True)
class StepKey:
    """A call of a step; made by `compensation_of`, `confirmation_of` and `probe_of`.

    Args:
        step: The name or the address of the step.
        call: The action, the compensation, the confirmation or the probe.
    """

    step: str
    call: Call = "action"

    def __str__(self) -> str:
        return self.step if self.call == "action" else f"{self.call} of {self.step}"


ScriptKey: TypeAlias = StepName | StepKey
"""A step stands for the action of the step."""


def compensation_of(step: StepName) -> StepKey:
    """The compensation of a step."""
    return StepKey(_name_of(step), "compensation")


def confirmation_of(step: StepName) -> StepKey:
    """The confirmation of a step."""
    return StepKey(_name_of(step), "confirmation")


def probe_of(step: StepName) -> StepKey:
    """The probe of a step."""
    return StepKey(_name_of(step), "probe")


def key_of(key: ScriptKey) -> StepKey:
    """The key of a script, where a step stands for the action of the step.

    Raises:
        DefinitionError: The key is not a step, a name, or the compensation, the confirmation or the probe
            of a step.
    """
    return key if isinstance(key, StepKey) else StepKey(_name_of(key))


def call_of(activity_id: str) -> Call:
    """The part of a step that an activity is.

    >>> call_of("compensate.reserve-stock")
    'compensation'
    """
    if activity_id.startswith(COMPENSATE):
        return "compensation"
    if activity_id.startswith(CONFIRM):
        return "confirmation"
    return "probe" if activity_id.startswith(PROBE) else "action"


def address_in_root(root_id: str, idempotency_key: str) -> str:
    """The address of a step, seen from the root saga.

    >>> address_in_root("order-7", "order-7:reserve-stock")
    'reserve-stock'
    >>> address_in_root("order-7", "order-7/payment:capture-payment#2")
    'payment:capture-payment#2'
    """
    return idempotency_key.removeprefix(root_id)[1:]


def names_of(address: str) -> tuple[str, ...]:
    """The names under which a script finds a step, the most precise first.

    >>> names_of("payment:capture-payment#2")
    ('payment:capture-payment#2', 'payment:capture-payment', 'capture-payment#2', 'capture-payment')
    """
    local = address.rpartition(":")[2]
    names = (address, address.partition("#")[0], local, local.partition("#")[0])
    return tuple(dict.fromkeys(names))


def _name_of(step: object) -> str:
    if isinstance(step, Step | Action):
        return step.name
    if isinstance(step, str):
        return step
    raise DefinitionError(f"a script is for a step, or for the name of a step, not for {step!r}")
