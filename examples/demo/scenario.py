"""A scenario as data: the message, the disturbance while the saga runs, and the expected end state."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel

from examples.stack.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningScenario:
    """A scenario with a running saga, for the disturbance.

    Args:
        stack: The processes.
        style: `orchestrated` or `choreographed`.
        saga_id: The id of the saga.
        order_id: The id of the order or payment.
        cancel: Requests the cancellation of the saga.
        announce: Prints a line for people.
    """

    stack: Stack
    style: str
    saga_id: str
    order_id: str
    cancel: Callable[[], Awaitable[None]]
    announce: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A saga with a chosen course, and the expected end state.

    Args:
        name: For the command line and for ids.
        title: For people.
        build: Makes the start message of the saga, from an order id.
        status: The expected end: `completed`, `compensated` or `cancelled`.
        effects: The expected effects, per service.
        notices: The expected notices to the customer.
        disturb: Disturbs the running saga.
        style: The only style of the scenario; `None`: both styles.
        kills: The server killed by `disturb`; without a server of the stack, the scenario is left out.
    """

    name: str
    title: str
    build: Callable[[str], BaseModel]
    status: str
    effects: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    notices: tuple[str, ...] = ()
    disturb: Callable[[RunningScenario], Coroutine[None, None, None]] | None = None
    style: str | None = None
    kills: Literal["temporal", "rabbit"] | None = None
