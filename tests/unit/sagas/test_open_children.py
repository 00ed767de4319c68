"""Verbs for open children arrive in the order of the requests."""

import asyncio
from typing import Any, cast

from temporalio.workflow import ChildWorkflowHandle

from sagas._core.lifecycle import Lifecycle
from sagas._run.open_children import OpenChildren
from sagas.operator import HOLD, RESUME, OperatorRequest

MIA = OperatorRequest(by="mia", because="a call from the customer")


class SlowChild:
    """Records the sent signals; the test decides about the delivery."""

    id = "trip-7/leg"

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.is_delivered = asyncio.Event()

    async def signal(self, verb: str, _: OperatorRequest) -> None:
        self.sent.append(verb)
        await self.is_delivered.wait()


def as_handle(child: SlowChild) -> ChildWorkflowHandle[Any, Any]:
    return cast("Any", child)  # type: ignore[no-any-return] # only workflows make real handles


def open_lifecycle() -> Lifecycle:
    lifecycle = Lifecycle()
    lifecycle.open()
    return lifecycle


async def test_a_resume_does_not_overtake_the_hold_of_a_child_that_has_just_started() -> None:
    """A child that received the resume before the hold would be held for good."""
    lifecycle, child = open_lifecycle(), SlowChild()
    children, handle = OpenChildren(lifecycle), as_handle(child)
    lifecycle.hold()
    await children.pass_on(HOLD, MIA)
    with children.with_child(handle):
        hold = asyncio.create_task(children.pass_on_hold(handle))
        await asyncio.sleep(0)
        lifecycle.resume()
        resume = asyncio.create_task(children.pass_on(RESUME, MIA))
        await asyncio.sleep(0)
        assert child.sent == [HOLD]

        child.is_delivered.set()
        await asyncio.gather(hold, resume)

    assert child.sent == [HOLD, RESUME]


async def test_a_child_that_has_started_since_a_resume_is_not_held() -> None:
    """No later resume would reach the child."""
    lifecycle, child = open_lifecycle(), SlowChild()
    children, handle = OpenChildren(lifecycle), as_handle(child)
    lifecycle.hold()
    await children.pass_on(HOLD, MIA)
    lifecycle.resume()
    await children.pass_on(RESUME, MIA)
    with children.with_child(handle):
        await children.pass_on_hold(handle)

    assert child.sent == []
