"""The shapes of the swept sagas, as data: a new entry in `SHAPES` adds a sweep."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.service import RPCError, RPCStatusCode

from sagas import CompensationOrder, CompensationScope, OnStuck
from sagas.operator import APPROVE, ApproveRequest
from tests.temporal.fixtures.section_saga import SectionPlan, maple
from tests.temporal.fixtures.trip_participants import Response, fails, rejects
from tests.temporal.fixtures.trip_plan import Booking, TripPlan
from tests.temporal.fixtures.worker_harness import Handle

from .fenced_participants import loses_reply

ExternalAct = Callable[[Handle], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaShape:
    """The plan of a saga, the responses of the participants, and the ending of an undisturbed run.

    Args:
        name: The name in test ids and in the report.
        do: The words of the plan; see `TripSaga`, and `SectionSaga` for a plan with sections.
        responses: For each operation, the responses to the first calls; later calls succeed.
        code: The code of the first failure, where an undisturbed run ends compensated; empty for completed.
        scope: The compensation scope.
        order: The compensation order.
        on_stuck: Whether older compensations run while a newer one keeps failing.
        legs: The child sagas in branches.
        sections: For a saga with sections: the section of each step, by the address of the step; empty for a
            step whose compensation is a unit of its own.
        external_act: An external act, for example a signal; called as soon as the act is allowed.
        reply_order: The ids of concurrent activities, in the order of their replies.
        tasks_before_reply: For some of these ids, the number of workflow tasks before the reply.
        skips_time: Whether the saga waits for longer than a test may take.
        seconds: The timeout of the saga, in seconds.
        is_sandboxed: Whether workflows run in Temporal's sandbox, as users have it. The other shapes run
            without, as the sandbox imports the modules of each workflow again.
    """

    name: str
    do: tuple[str | TripPlan | SectionPlan, ...]
    responses: Mapping[str, tuple[Response, ...]] = field(default_factory=dict[str, tuple[Response, ...]])
    code: str = ""
    scope: CompensationScope = CompensationScope.IN_DOUBT
    order: CompensationOrder = CompensationOrder.REVERSE
    on_stuck: OnStuck = OnStuck.CONTINUE
    legs: tuple[TripPlan, ...] = ()
    sections: Mapping[str, str] = field(default_factory=dict[str, str])
    external_act: ExternalAct | None = None
    reply_order: tuple[str, ...] = ()
    tasks_before_reply: Mapping[str, int] = field(default_factory=dict[str, int])
    skips_time: bool = False
    seconds: float | None = None
    is_sandboxed: bool = False

    @property
    def plan(self) -> TripPlan | SectionPlan:
        """The plan of the saga."""
        if self.sections:
            words = [word for word in self.do if not isinstance(word, TripPlan)]
            return SectionPlan(do=tuple(words), order=self.order)
        return TripPlan(
            do=tuple(word for word in self.do if not isinstance(word, SectionPlan)),
            scope=self.scope,
            order=self.order,
            on_stuck=self.on_stuck,
            seconds=self.seconds,
            legs=self.legs,
        )


def after_workflow_tasks(tasks: int, act: ExternalAct) -> ExternalAct:
    """Acts when the saga has completed a number of workflow tasks, unless the saga has closed."""

    async def external_act(handle: Handle) -> None:
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
            # The saga does not wait for the event any more.
            return

    return external_act


async def signal_go(handle: Handle) -> None:
    """Sends the signal that ends a wait."""
    await handle.signal("go")


async def grant_visa(handle: Handle) -> None:
    """Sends the external event `visa`."""
    await handle.signal("visa", Booking(number="v-7"))


async def approve(handle: Handle) -> None:
    """Approves the big trip."""
    boss = frozenset({"boss"})
    request = ApproveRequest(by="mia", because="it is cheap", approval="big-trip", roles=boss)
    await handle.execute_update(APPROVE, request)


NIGHT = TripPlan(do=("flight", TripPlan(do=("hotel", "hotel"), name="night")))

CONCURRENT = ("book-flight", "book-car")
NEVER = "never"
"""Blocks the replies after this entry until the activity is cancelled, or the order is dropped."""

UNSANDBOXED = (
    SagaShape(name="sequence", do=("hotel", "flight", "look", "hotel")),
    SagaShape(name="cancellable", do=("hotel", "car", "look")),
    SagaShape(
        name="lost-reply",
        do=("hotel", "flight"),
        responses={"book-flight": (loses_reply,)},
        code="unknown_outcome",
    ),
    SagaShape(
        name="failing-step",
        do=("tell", "hotel", "flight", "car"),
        responses={"book-car": (rejects(),)},
        code="sold_out",
    ),
    SagaShape(
        name="attempted",
        do=("hotel", "flight"),
        responses={"book-flight": (rejects(),)},
        code="sold_out",
        scope=CompensationScope.ATTEMPTED,
    ),
    SagaShape(
        name="failing-compensation",
        do=("tell", "hotel", "flight", "fail"),
        responses={"cancel-flight": (fails(), fails())},
        code="Planned",
        skips_time=True,
    ),
    SagaShape(
        name="waiting-compensations",
        do=("tell", "hotel", TripPlan(do=("flight",)), "car", "fail"),
        # Only the root skips time: the clocks of several workflows that skip time differ.
        responses={"cancel-car": (fails(), fails())},
        code="Planned",
        on_stuck=OnStuck.WAIT,
        skips_time=True,
    ),
    SagaShape(name="child", do=("hotel", TripPlan(do=("flight", "car")), "look")),
    SagaShape(
        name="failing-child",
        do=("tell", "hotel", TripPlan(do=("tell", "flight", "car")), "look"),
        responses={"book-car": (rejects(),)},
        code="sold_out",
    ),
    SagaShape(name="closed-child", do=("flight", TripPlan(do=("hotel",)), "fail"), code="Planned"),
    SagaShape(name="grandchild", do=(NIGHT, "look")),
    SagaShape(name="pivot", do=("tell", "hotel", "flight", "pay", "car", "ticket")),
    SagaShape(name="rejected-pivot", do=("hotel", "pay"), responses={"pay": (rejects(),)}, code="sold_out"),
    SagaShape(name="unknown-pivot", do=("hotel", "pay", "ticket"), responses={"pay": (loses_reply, fails())}),
    SagaShape(name="child-and-pivot", do=(TripPlan(do=("hotel",)), "pay", "short-sleep", "ticket")),
    SagaShape(
        name="best-effort",
        do=("hotel", "best-effort-flight", "pay", "best-effort-ticket"),
        responses={"book-flight": (rejects(),), "send-ticket": (fails(),)},
    ),
    SagaShape(
        name="unknown-best-effort",
        do=("tell", "best-effort-flight", "hotel", "fail"),
        responses={"book-flight": (loses_reply,)},
        code="Planned",
    ),
    SagaShape(
        name="wait-for-signal",
        do=("hotel", "wait", "flight"),
        external_act=after_workflow_tasks(2, signal_go),
    ),
    SagaShape(name="timer", do=("hotel", "short-sleep", "flight")),
    SagaShape(
        name="wait-after-pivot-and-block",
        do=("hotel", "pay", "wait-after-block"),
        external_act=after_workflow_tasks(3, signal_go),
    ),
    SagaShape(
        name="wait-after-block",
        do=("hotel", "flight", "wait-after-block"),
        external_act=after_workflow_tasks(3, signal_go),
    ),
    SagaShape(name="concurrent", do=("hotel", "flight+car", "look"), reply_order=CONCURRENT),
    SagaShape(
        name="failing-concurrent",
        do=("hotel", "flight+car"),
        responses={"book-flight": (rejects(),)},
        code="sold_out",
        reply_order=CONCURRENT,
    ),
    SagaShape(name="parallel", do=("hotel", "flight|car", "look"), reply_order=CONCURRENT),
    SagaShape(
        name="failing-branch",
        do=("tell", "hotel", "flight|car"),
        responses={"book-flight": (rejects(),)},
        code="sold_out",
        reply_order=CONCURRENT,
    ),
    SagaShape(
        name="failing-branch-cancels",
        do=("tell", "hotel", "flight/car"),
        responses={"book-flight": (rejects(),)},
        code="sold_out",
        reply_order=("book-flight", NEVER, "book-car"),
    ),
    SagaShape(
        name="parallel-compensations",
        do=("tell", "hotel", "flight", "car", "fail"),
        code="Planned",
        order=CompensationOrder.PARALLEL,
        reply_order=("compensate.book-car", "compensate.book-flight", "compensate.book-hotel"),
    ),
    SagaShape(
        name="children-concurrent",
        do=("left|look,right", "look"),
        legs=(TripPlan(do=("flight",), name="left"), TripPlan(do=("car",), name="right")),
        # The children start and end one after the other, so that every run has the same history.
        reply_order=("look-around", "book-flight", "book-car"),
        tasks_before_reply={"look-around": 3, "book-flight": 3, "book-car": 2},
    ),
    SagaShape(
        name="failing-notification",
        do=("tell", "flight", "fail"),
        responses={"tell-customer": (fails(),)},
        code="Planned",
    ),
    SagaShape(
        name="external-event",
        do=("hotel", "visa", "flight"),
        external_act=after_workflow_tasks(2, grant_visa),
    ),
    SagaShape(
        name="approval", do=("tell", "hotel", "boss", "pay"), external_act=after_workflow_tasks(2, approve)
    ),
    SagaShape(
        name="saga-timeout",
        do=("tell", "hotel", "sleep", "look"),
        code="deadline_exceeded",
        skips_time=True,
        seconds=1800,
    ),
    SagaShape(
        name="section",
        do=("hotel", maple("flight", "car", "look", otherwise=("flight",)), "pay", "ticket"),
        responses={"look-around": (rejects(),)},
        sections={"book-flight": "maple", "book-car": "maple", "look-around": "maple"},
    ),
    SagaShape(
        name="completed-section",
        do=("hotel", maple("flight", "car"), "hotel", "fail"),
        code="Planned",
        sections={"book-flight": "maple", "book-car": "maple"},
    ),
    SagaShape(
        name="compensated-section",
        do=("hotel", maple("flight", "car"), "compensate-maple", "flight", "pay"),
        sections={"book-flight": "maple", "book-car": "maple"},
    ),
    SagaShape(
        name="stuck-section",
        do=(maple("flight", "fail", otherwise=("car",)), "pay"),
        responses={"cancel-flight": (fails(),)},
        skips_time=True,
        sections={"book-flight": "maple"},
    ),
    SagaShape(
        name="compensated-step",
        do=("flight", "hotel", "compensate-book-flight", "flight", "fail"),
        code="Planned",
        sections={"book-flight": "book-flight"},
    ),
    SagaShape(
        name="first-of",
        do=("car", "first-hotel,flight?look", "pay", "ticket"),
        responses={"book-flight": (rejects(),)},
        sections={"book-hotel": "alternative", "book-flight": "alternative", "look-around": "alternative#2"},
        reply_order=("look-around", "compensate.book-hotel", "pay"),
    ),
    SagaShape(name="continue-as-new", do=("hotel", "again", "flight", "pay", "ticket")),
    SagaShape(
        name="pivot-child",
        do=("hotel", TripPlan(do=("flight", "pay"), is_pivot=True), "short-sleep", "ticket"),
    ),
)

SHAPES = (
    *UNSANDBOXED,
    *(
        replace(shape, name=f"{shape.name}-in-sandbox", is_sandboxed=True)
        for shape in UNSANDBOXED
        if shape.name in ("sequence", "child", "pivot", "parallel")
    ),
)
