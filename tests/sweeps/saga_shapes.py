"""The shapes of sagas that are swept, as data: add a line to `SHAPES`, and it is swept too."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from sagas import CompensationOrder, CompensationScope
from sagas.operator import APPROVE, ApproveRequest
from tests.temporal.fixtures.trip_saga import Answer, Booking, Plan, breaks, refuses
from tests.temporal.fixtures.trip_worker import Handle

from .fenced_participants import lost

Outside = Callable[[Handle], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A saga as its plan says, with what its participants answer, and how it ends if nobody disturbs it.

    Args:
        name: Names the shape in test ids and in the report.
        do: The plan, in the words of `TripSaga`.
        answers: For each operation, how its first calls are answered; later ones succeed.
        code: The code of its first failure, where it ends compensated by itself; empty where it completes.
        scope: Which steps are compensated.
        order: One compensation after the other, or all at once.
        legs: The children that run in branches.
        outside: What happens around it, such as a signal; called once it may happen.
        in_turn: The ids of its activities that are under way together, in the order of their answers.
        heard: Of some of them, how many workflow tasks it takes until all have heard of what was before.
        skips_time: It waits for longer than a test may take.
        seconds: The deadline of the saga.
        is_sandboxed: It runs in Temporal's sandbox, as users have it; the others do without, as each of
            their many workflows would be imported anew.
    """

    name: str
    do: tuple[str | Plan, ...]
    answers: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict[str, tuple[Answer, ...]])
    code: str = ""
    scope: CompensationScope = CompensationScope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE
    legs: tuple[Plan, ...] = ()
    outside: Outside | None = None
    in_turn: tuple[str, ...] = ()
    heard: Mapping[str, int] = field(default_factory=dict[str, int])
    skips_time: bool = False
    seconds: float | None = None
    is_sandboxed: bool = False

    @property
    def plan(self) -> Plan:
        """What its saga is told to do."""
        return Plan(do=self.do, scope=self.scope, order=self.order, seconds=self.seconds, legs=self.legs)


def after(tasks: int, act: Outside) -> Outside:
    """Does something when the saga has carried out so many workflow tasks; where it still runs then."""

    async def outside(handle: Handle) -> None:
        done = 0
        async for event in handle.fetch_history_events(wait_new_event=True):
            done += event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
            if done == tasks:
                break
        try:
            await act(handle)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        except (WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError):
            # It does not wait for it any more.
            return

    return outside


async def go(handle: Handle) -> None:
    """Lets a saga go on that waits."""
    await handle.signal("go")


async def grant_visa(handle: Handle) -> None:
    """The external event that a saga waits for."""
    await handle.signal("visa", Booking(number="v-7"))


async def approve(handle: Handle) -> None:
    """The decision that a saga waits for."""
    boss = frozenset({"boss"})
    request = ApproveRequest(by="mia", because="it is cheap", approval="big-trip", roles=boss)
    await handle.execute_update(APPROVE, request)


NIGHT = Plan(do=("flight", Plan(do=("hotel", "hotel"), name="night")))

SIDE_BY_SIDE = ("book-flight", "book-car")
NEVER = "never"
"""Whoever comes after it in turn does not answer, unless it is cancelled or all may answer."""

UNSANDBOXED = (
    Shape(name="sequence", do=("hotel", "flight", "look", "hotel")),
    Shape(name="cancellable", do=("hotel", "car", "look")),
    Shape(
        name="lost-answer", do=("hotel", "flight"), answers={"book-flight": (lost,)}, code="unknown_outcome"
    ),
    Shape(
        name="failing-step",
        do=("tell", "hotel", "flight", "car"),
        answers={"book-car": (refuses(),)},
        code="sold_out",
    ),
    Shape(
        name="attempted",
        do=("hotel", "flight"),
        answers={"book-flight": (refuses(),)},
        code="sold_out",
        scope=CompensationScope.ATTEMPTED,
    ),
    Shape(
        name="failing-compensation",
        do=("tell", "hotel", "flight", "fail"),
        answers={"cancel-flight": (breaks(), breaks())},
        code="ApplicationError",
        skips_time=True,
    ),
    Shape(name="child", do=("hotel", Plan(do=("flight", "car")), "look")),
    Shape(
        name="failing-child",
        do=("tell", "hotel", Plan(do=("tell", "flight", "car")), "look"),
        answers={"book-car": (refuses(),)},
        code="sold_out",
    ),
    Shape(name="closed-child", do=("flight", Plan(do=("hotel",)), "fail"), code="ApplicationError"),
    Shape(name="grandchild", do=(NIGHT, "look")),
    Shape(name="pivot", do=("tell", "hotel", "flight", "pay", "car", "ticket")),
    Shape(name="refused-pivot", do=("hotel", "pay"), answers={"pay": (refuses(),)}, code="sold_out"),
    Shape(name="unclear-pivot", do=("hotel", "pay", "ticket"), answers={"pay": (lost, breaks())}),
    Shape(name="child-and-pivot", do=(Plan(do=("hotel",)), "pay", "nap", "ticket")),
    Shape(
        name="best-effort",
        do=("hotel", "perhaps-flight", "pay", "perhaps-ticket"),
        answers={"book-flight": (refuses(),), "send-ticket": (breaks(),)},
    ),
    Shape(
        name="best-effort-in-doubt",
        do=("tell", "perhaps-flight", "hotel", "fail"),
        answers={"book-flight": (lost,)},
        code="ApplicationError",
    ),
    Shape(name="wait", do=("hotel", "wait", "flight"), outside=after(2, go)),
    Shape(name="timer", do=("hotel", "nap", "flight")),
    Shape(
        name="outside",
        do=("hotel", "pay", "then-outside"),
        outside=after(3, go),
    ),
    Shape(name="behind-the-block", do=("hotel", "flight", "then-outside"), outside=after(3, go)),
    Shape(name="side-by-side", do=("hotel", "flight+car", "look"), in_turn=SIDE_BY_SIDE),
    Shape(
        name="failing-side",
        do=("hotel", "flight+car"),
        answers={"book-flight": (refuses(),)},
        code="sold_out",
        in_turn=SIDE_BY_SIDE,
    ),
    Shape(name="parallel", do=("hotel", "flight|car", "look"), in_turn=SIDE_BY_SIDE),
    Shape(
        name="failing-branch",
        do=("tell", "hotel", "flight|car"),
        answers={"book-flight": (refuses(),)},
        code="sold_out",
        in_turn=SIDE_BY_SIDE,
    ),
    Shape(
        name="hasty-branch",
        do=("tell", "hotel", "flight/car"),
        answers={"book-flight": (refuses(),)},
        code="sold_out",
        in_turn=("book-flight", NEVER, "book-car"),
    ),
    Shape(
        name="all-at-once",
        do=("tell", "hotel", "flight", "car", "fail"),
        code="ApplicationError",
        order=CompensationOrder.PARALLEL,
        in_turn=("compensate.book-car", "compensate.book-flight", "compensate.book-hotel"),
    ),
    Shape(
        name="children-side-by-side",
        do=("left|look,right", "look"),
        legs=(Plan(do=("flight",), name="left"), Plan(do=("car",), name="right")),
        # One begins after the other, and one ends after the other, so that every run has the same history.
        in_turn=("look-around", "book-flight", "book-car"),
        heard={"look-around": 3, "book-flight": 3, "book-car": 2},
    ),
    Shape(
        name="failing-last-word",
        do=("tell", "flight", "fail"),
        answers={"tell-customer": (breaks(),)},
        code="ApplicationError",
    ),
    Shape(name="event", do=("hotel", "visa", "flight"), outside=after(2, grant_visa)),
    Shape(name="approval", do=("tell", "hotel", "boss", "pay"), outside=after(2, approve)),
    Shape(
        name="deadline",
        do=("tell", "hotel", "sleep", "look"),
        code="deadline_exceeded",
        skips_time=True,
        seconds=1800,
    ),
    Shape(name="again", do=("hotel", "again", "flight", "pay", "ticket")),
    Shape(name="pivot-child", do=("hotel", Plan(do=("flight", "pay"), is_pivot=True), "nap", "ticket")),
)

SHAPES = (
    *UNSANDBOXED,
    *(
        replace(shape, name=f"{shape.name}-in-sandbox", is_sandboxed=True)
        for shape in UNSANDBOXED
        if shape.name in ("sequence", "child", "pivot", "parallel")
    ),
)
