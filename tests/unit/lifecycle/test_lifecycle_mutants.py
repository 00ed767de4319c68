"""The comparison of lifecycle and oracle notices every fault planted in the lifecycle.

A fault is a text of `sagas/_core/lifecycle.py` with a replacement; the name is the effect on a user.
"""

import ast
import inspect
from dataclasses import dataclass

import pytest

from sagas._core import lifecycle as module
from sagas._core.lifecycle import Lifecycle

from .walk import BrokenPromiseError, walk

SOURCE = inspect.getsource(module)


@dataclass(frozen=True, slots=True)
class Fault:
    """A text of the lifecycle, the replacement, and the effect."""

    meaning: str
    text: str
    instead: str

    def planted(self) -> type[Lifecycle]:
        """The lifecycle with this fault."""
        assert SOURCE.count(self.text) == 1, f"{self.text!r} is not once in the lifecycle: mend this fault"
        tree = ast.parse(SOURCE.replace(self.text, self.instead))
        tree.body = [node for node in tree.body if getattr(node, "name", None) == "Lifecycle"]
        names = dict(vars(module))
        exec(compile(tree, f"<{self.meaning}>", "exec"), names)
        mutant: type[Lifecycle] = names["Lifecycle"]
        return mutant


FAULTS = [
    Fault(
        "a run opens two sagas",
        "if self.phase is not Phase.NOT_OPENED:\n            raise",
        "if False:\n            raise",
    ),
    Fault(
        "a continued saga forgets that its pivot is done",
        "self.phase = Phase.PAST_PIVOT if self.starts_past_pivot else Phase.FORWARD",
        "self.phase = Phase.FORWARD",
    ),
    Fault(
        "a step starts after the first compensation",
        'if self.phase is Phase.COMPENSATING:\n            raise DefinitionError(f"step {address!r}',
        'if False:\n            raise DefinitionError(f"step {address!r}',
    ),
    Fault(
        "a step starts after the end",
        'if not self.is_open:\n            raise DefinitionError(f"step {address!r} cannot',
        'if False:\n            raise DefinitionError(f"step {address!r} cannot',
    ),
    Fault(
        "a step starts beside the pivot",
        'if self.phase is Phase.PIVOT:\n            raise DefinitionError(f"{address!r} cannot start beside',
        'if False:\n            raise DefinitionError(f"{address!r} cannot start beside',
    ),
    Fault(
        "a saga has two pivots",
        'if self.phase is Phase.PAST_PIVOT:\n            raise DefinitionError(f"{name!r} is a second',
        'if False:\n            raise DefinitionError(f"{name!r} is a second',
    ),
    Fault(
        "the pivot under way is not noted",
        "self.phase, self.pivot = Phase.PIVOT, address",
        "self.pivot = address",
    ),
    Fault("a cancel withdraws a pivot that may have happened", "self.is_pivot_in_doubt = True", "pass"),
    Fault(
        "a pivot that did not happen blocks cancels",
        "self.phase, self.pivot, self.is_pivot_in_doubt = Phase.FORWARD, None, False",
        "self.phase, self.pivot = Phase.FORWARD, None",
    ),
    Fault(
        "a rejected pivot counts as done",
        "self.phase, self.pivot, self.is_pivot_in_doubt = Phase.FORWARD, None, False",
        "self.phase, self.pivot, self.is_pivot_in_doubt = Phase.PAST_PIVOT, None, False",
    ),
    Fault(
        "a pivot that is done can be compensated",
        "self.phase, self.pivot, self.is_pivot_in_doubt = Phase.PAST_PIVOT, None, False",
        "self.phase, self.pivot, self.is_pivot_in_doubt = Phase.FORWARD, None, False",
    ),
    Fault(
        "a request during the pivot is lost",
        "return self.phase in (Phase.FORWARD, Phase.PIVOT)",
        "return self.phase is Phase.FORWARD",
    ),
    Fault(
        "a request after the pivot counts",
        "return self.phase in (Phase.FORWARD, Phase.PIVOT)",
        "return self.phase in (Phase.FORWARD, Phase.PIVOT, Phase.PAST_PIVOT)",
    ),
    Fault("the cause of a compensation is forgotten", "self.compensation_cause = cause", "pass"),
    Fault(
        "a saga compensates after its pivot",
        'if self.is_past_pivot:\n            raise DefinitionError("nothing',
        "if self.phase is Phase.PAST_PIVOT:\n            self.phase = Phase.FORWARD\n"
        '        if False:\n            raise DefinitionError("nothing',
    ),
    Fault(
        "a second failure ends a compensation with an error",
        "if self.phase not in (Phase.FORWARD, Phase.COMPENSATING):",
        "if self.phase is not Phase.FORWARD:",
    ),
    Fault(
        "a saga compensates while its pivot is under way",
        "if self.phase not in (Phase.FORWARD, Phase.COMPENSATING):",
        "if self.phase not in (Phase.FORWARD, Phase.PIVOT, Phase.COMPENSATING):",
    ),
    Fault(
        "a held saga stays held while it compensates",
        "self.phase, self.is_held, self.is_stuck = Phase.COMPENSATING, False, False",
        "self.phase, self.is_stuck = Phase.COMPENSATING, False",
    ),
    Fault(
        "a saga that starts compensating still says that it is stuck",
        "self.phase, self.is_held, self.is_stuck = Phase.COMPENSATING, False, False",
        "self.phase, self.is_held = Phase.COMPENSATING, False",
    ),
    Fault(
        "a saga completes while its pivot is under way",
        "if self.phase not in (Phase.FORWARD, Phase.PAST_PIVOT):\n"
        '            raise DefinitionError(f"a saga that is {self.phase.value} cannot complete")',
        "if self.phase not in (Phase.FORWARD, Phase.PIVOT, Phase.PAST_PIVOT):\n"
        '            raise DefinitionError("")',
    ),
    Fault(
        "a compensating saga confirms steps",
        "if self.phase not in (Phase.FORWARD, Phase.PAST_PIVOT):\n"
        '            raise DefinitionError(f"a saga that is {self.phase.value} cannot confirm its steps")',
        "if self.phase not in (Phase.FORWARD, Phase.PAST_PIVOT, Phase.COMPENSATING):\n"
        '            raise DefinitionError("")',
    ),
    Fault(
        "a confirmed step can be compensated",
        "        self.phase = Phase.PAST_PIVOT\n\n    def request_compensation",
        "        pass\n\n    def request_compensation",
    ),
    Fault(
        "a compensating saga can be held",
        "if not self.is_open or self.phase is Phase.COMPENSATING:",
        "if not self.is_open:",
    ),
    Fault("a hold has no effect", "        self.is_held = True\n", "        pass\n"),
    Fault(
        "a hold cannot be resumed",
        "        self.is_held = False\n\n    def mark_stuck",
        "        pass\n\n    def mark_stuck",
    ),
    Fault(
        "a failing compensation is silent",
        "self.stuck_steps[address] = step\n        self.is_stuck = True",
        "self.stuck_steps[address] = step",
    ),
    Fault(
        "a blocked rescue is silent", 'cannot be stuck")\n        self.is_stuck = True', 'cannot be stuck")'
    ),
    Fault(
        "a saga is not stuck any more while another step is",
        "if self.phase is not Phase.COMPENSATING and not self.stuck_steps:",
        "if self.phase is not Phase.COMPENSATING:",
    ),
    Fault(
        "a compensation is not stuck any more before everything is compensated",
        "if self.phase is not Phase.COMPENSATING and not self.stuck_steps:",
        "if not self.stuck_steps:",
    ),
    Fault(
        "a resolved step stays stuck",
        "self.stuck_steps.pop(address, None) is not None",
        "address in self.stuck_steps",
    ),
    Fault(
        "a step is resolved that is not stuck",
        "if address not in self.stuck_steps:\n            raise",
        "if False:\n            raise",
    ),
    Fault(
        "a step is resolved twice",
        "if address in self.resolved_outcomes:\n            return",
        "if False:\n            return",
    ),
    Fault(
        "a step is resolved while a worker tries it",
        "if address in self.retrying:\n            return",
        "if False:\n            return",
    ),
    Fault("a manual resolution is forgotten", "self.resolutions[address] = resolution", "pass"),
    Fault(
        "a settled saga says that it is completed",
        "case Phase.ENDED if self.resolutions:",
        "case Phase.ENDED if False:",
    ),
    Fault("a stuck saga looks healthy", "case _ if self.is_stuck:", "case _ if False:"),
    Fault(
        "a compensated saga says that it is completed",
        "return Status.COMPENSATED if self.has_compensated else Status.COMPLETED",
        "return Status.COMPLETED",
    ),
    Fault(
        "the end of a saga forgets the pivot",
        "return Phase.PAST_PIVOT in (self.phase, self._last_phase)",
        "return self.phase is Phase.PAST_PIVOT",
    ),
    Fault(
        "a cancel reaches a saga that has completed",
        "self.is_past_pivot or self.has_completed",
        "self.is_past_pivot",
    ),
    Fault(
        "a saga whose code fails counts as completed",
        "self.phase = self._last_phase = Phase.ENDED",
        "self._last_phase, self.phase = self.phase, Phase.ENDED",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.meaning)
def test_a_planted_fault_is_caught(fault: Fault) -> None:
    """The walk finds an answer that contradicts the promises."""
    mutant = fault.planted()

    with pytest.raises(BrokenPromiseError):
        walk(mutant)


def test_faults_are_different() -> None:
    """Each fault is another change, with another meaning."""
    assert len({(fault.text, fault.instead) for fault in FAULTS}) == len(FAULTS) == 40
    assert len({fault.meaning for fault in FAULTS}) == len(FAULTS)
