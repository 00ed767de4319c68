"""The lifecycle of a scope against an oracle written from the promises, in every state."""

import pytest

from sagas import DefinitionError
from sagas._core.lifecycle import Lifecycle, Phase
from sagas._core.status import Status

from .walk import STUCK, walk


def test_every_call_in_every_state_does_what_the_promises_say() -> None:
    """P1, P5, P6 and P8: a call is accepted or refused, and changes exactly the predicted state."""
    seen = walk()

    assert seen.states > 1_000
    assert seen.calls == seen.states * 24


def test_compensation_keeps_the_first_cause() -> None:
    """A later request, for example an expired deadline, does not hide the cause of the compensation."""
    lifecycle, first = Lifecycle(), ValueError("first")
    lifecycle.open()

    assert [lifecycle.request_compensation(first), lifecycle.request_compensation(ValueError("second"))] == [
        True,
        False,
    ]
    assert lifecycle.compensation_cause is first


def test_manual_resolutions_of_an_earlier_run_count() -> None:
    """A saga with a manual resolution before continue-as-new is settled at the end."""
    lifecycle = Lifecycle(resolutions={"reserve": "skipped"})
    lifecycle.open()
    lifecycle.complete()

    assert lifecycle.status is Status.SETTLED


def test_no_cancel_reaches_a_rescue() -> None:
    """A rescue only compensates, in every phase."""
    lifecycle = Lifecycle(is_uncancellable=True)
    blocked = [lifecycle.blocks_cancel]
    for change in (lifecycle.open, lifecycle.begin_compensation, lifecycle.end_compensation):
        change()
        blocked.append(lifecycle.blocks_cancel)

    assert blocked == [True] * 4


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (Phase.NOT_OPENED, "'ship' cannot start: the saga is not open"),
        (Phase.PIVOT, "'ship' cannot start beside the pivot 'pay'"),
        (Phase.PAST_PIVOT, "'ship' is a second pivot; a saga has one"),
        (Phase.COMPENSATING, "'ship' cannot start: the saga is compensating"),
        (Phase.ENDED, "'ship' cannot start: the saga is not open"),
    ],
)
def test_refusal_of_a_pivot_names_the_reason(phase: Phase, message: str) -> None:
    """The error names the necessary change for the author."""
    lifecycle = in_phase(phase)

    with pytest.raises(DefinitionError, match=message):
        lifecycle.check_pivot("ship")


def test_resolution_of_a_step_that_is_not_stuck_is_refused() -> None:
    """An operator can resolve only a step for which the saga waits."""
    lifecycle = in_phase(Phase.COMPENSATING)
    lifecycle.mark_stuck("reserve", STUCK)

    assert lifecycle.refusal_of_resolution("reserve") is None
    lifecycle.retrying.add("reserve")
    assert "being tried again" in str(lifecycle.refusal_of_resolution("reserve"))


def in_phase(phase: Phase) -> Lifecycle:
    """A lifecycle on the shortest way to a phase."""
    lifecycle = Lifecycle()
    if phase is not Phase.NOT_OPENED:
        lifecycle.open()
    if phase in (Phase.PIVOT, Phase.PAST_PIVOT):
        lifecycle.start_pivot("pay")
    if phase is Phase.PAST_PIVOT:
        lifecycle.pass_pivot()
    if phase is Phase.COMPENSATING:
        lifecycle.begin_compensation()
    if phase is Phase.ENDED:
        lifecycle.complete()
    return lifecycle
