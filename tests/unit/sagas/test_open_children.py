"""What a saga passes on to its open children: one request after the other, in the order of their coming."""

import asyncio
from typing import Any, cast

from temporalio.workflow import ChildWorkflowHandle

from sagas._run.open_children import OpenChildren
from sagas.operator import HOLD, RESUME, OperatorRequest

MIA = OperatorRequest(by="mia", because="a call from the customer")


class SlowChild:
    """Notes what was sent to it; the server delivers it when the test says so."""

    id = "trip-7/leg"

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.is_delivered = asyncio.Event()

    async def signal(self, verb: str, _: OperatorRequest) -> None:
        self.sent.append(verb)
        await self.is_delivered.wait()


def as_handle(child: SlowChild) -> ChildWorkflowHandle[Any, Any]:
    return cast("Any", child)  # type: ignore[no-any-return] # Temporal's own is made by a workflow only


async def test_a_resume_does_not_overtake_the_hold_of_a_child_that_has_just_started() -> None:
    """The child would be held for good: it is told of both by signals, and the last one counts."""
    family, child = OpenChildren(), SlowChild()
    handle = as_handle(child)
    await family.tell(HOLD, MIA)
    with family.with_child(handle):
        hold = asyncio.create_task(family.catch_up(handle))
        await asyncio.sleep(0)
        resume = asyncio.create_task(family.tell(RESUME, MIA))
        await asyncio.sleep(0)
        assert child.sent == [HOLD]

        child.is_delivered.set()
        await asyncio.gather(hold, resume)

    assert child.sent == [HOLD, RESUME]


async def test_a_child_that_has_started_since_a_resume_is_not_held() -> None:
    """Nobody would resume it."""
    family, child = OpenChildren(), SlowChild()
    handle = as_handle(child)
    await family.tell(HOLD, MIA)
    await family.tell(RESUME, MIA)
    with family.with_child(handle):
        await family.catch_up(handle)

    assert child.sent == []
