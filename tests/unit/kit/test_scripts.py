"""Scripts are data: a call of a step finds the most precise script, and the response of its number."""

import pytest

from sagas import DefinitionError, Operation, action
from sagas.testing import (
    RunOptions,
    answers,
    before,
    cancels,
    compensation_of,
    crashes_worker,
    fails,
    hangs,
    probe_of,
    rejects,
)
from sagas.testing._run_saga import Steps
from sagas.testing._script.inputs import DuringCall, Input
from sagas.testing._script.plan import SagaPlan, scripts_of
from sagas.testing._script.responses import SAMPLE
from sagas.testing._script.step_keys import StepKey, address_in_root, call_of, key_of, names_of

reserve = action(
    Operation(name="reserve-stock", participant="shop", message=dict, result=dict)
).compensated_by(Operation(name="release-stock", participant="shop", message=dict, result=dict))


async def no_saga(self: object, message: object) -> None:
    """Stands for the run method of a saga."""


def plan(steps: Steps, *inputs: Input) -> SagaPlan:
    """A plan with scripts and inputs."""
    return SagaPlan(
        run=no_saga, message=None, steps=(), scripts=scripts_of(steps), inputs=inputs, options=RunOptions()
    )


def test_response_without_a_list_is_for_every_call() -> None:
    """Every attempt fails."""
    scripted = plan({reserve: fails()})

    assert {scripted.response(StepKey("reserve-stock"), number) for number in (1, 2, 9)} == {fails()}


def test_list_is_a_response_for_each_call_in_turn() -> None:
    """The calls after the list have the response without a script."""
    scripted = plan({reserve: [fails(), rejects("no")]})

    responses = [scripted.response(StepKey("reserve-stock"), number) for number in (1, 2, 3)]
    assert responses == [fails(), rejects("no"), SAMPLE]


def test_action_compensation_and_probe_have_scripts_of_their_own() -> None:
    """A step stands for the action."""
    scripted = plan(
        {reserve: answers(1), compensation_of(reserve): answers(2), probe_of(reserve): answers(3)}
    )

    calls = [StepKey("reserve-stock", call) for call in ("action", "compensation", "probe")]
    assert [scripted.response(call, 1) for call in calls] == [answers(1), answers(2), answers(3)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("payment:capture#2", "address"),
        ("payment:capture", "path"),
        ("capture#2", "second"),
        ("capture", "name"),
    ],
)
def test_most_precise_name_counts(name: str, expected: str) -> None:
    """The address, then the address without a number, the name with a number, the name."""
    names = ["payment:capture#2", "payment:capture", "capture#2", "capture"]
    labels = ["address", "path", "second", "name"]
    known = dict(zip(names, labels, strict=True))
    steps = {each: answers(known[each]) for each in names[names.index(name) :]}

    assert plan(steps).response(StepKey("payment:capture#2"), 1) == answers(expected)


def test_other_steps_have_no_script() -> None:
    """A script of the second execution is not for the first."""
    scripted = plan({"capture#2": fails()})

    assert scripted.response(StepKey("capture"), 1) == SAMPLE
    assert scripted.script_of(StepKey("refund")) is None


@pytest.mark.parametrize("script", [[], [fails(), "fails"], "fails", None], ids=str)
def test_script_of_something_else_is_refused(script: object) -> None:
    """The error names the step."""
    with pytest.raises((DefinitionError, TypeError), match=r"reserve-stock|iterable"):
        plan({reserve: script})  # type: ignore[dict-item] # on purpose


def test_key_of_something_else_is_refused() -> None:
    """The types allow any key, because a mapping is invariant in the key."""
    with pytest.raises(DefinitionError, match="not for 7"):
        plan({7: fails()})


def test_input_during_a_call_is_for_the_named_step_and_call_only() -> None:
    """Before the action of the step, not after, and not during the compensation."""
    cancel = cancels(before(reserve))
    scripted = plan({}, cancel)

    assert scripted.inputs_during(DuringCall(key_of(reserve), has_effect=False), "reserve-stock#2") == (
        cancel,
    )
    assert scripted.inputs_during(DuringCall(key_of(reserve), has_effect=True), "reserve-stock") == ()
    other = DuringCall(compensation_of(reserve), has_effect=False)
    assert scripted.inputs_during(other, "reserve-stock") == ()
    assert scripted.inputs_while_waiting == ()


def test_only_steps_that_may_hang_have_short_timeouts() -> None:
    """A crash may interrupt any attempt."""
    hanging = plan({reserve: [answers(1), hangs()], "payment:capture": hangs()})

    assert hanging.may_hang("reserve-stock#3", "reserve-stock#3")
    assert hanging.may_hang("capture", "capture")
    assert not hanging.may_hang("compensate.reserve-stock", "reserve-stock")
    assert not hanging.may_hang("ship", "ship")
    assert plan({reserve: [crashes_worker()]}).may_hang("ship", "ship")


def test_names_and_addresses_come_from_the_ids_of_temporal() -> None:
    """The workflow id and the activity id are enough."""
    assert [call_of(each) for each in ("compensate.a", "probe.a", "a")] == ["compensation", "probe", "action"]
    assert address_in_root("o-7", "o-7:reserve") == "reserve"
    assert address_in_root("o-7", "o-7/payment:capture#2") == "payment:capture#2"
    assert names_of("reserve") == ("reserve",)
