"""What comes to a saga from outside: events that it waits for, and people's decisions."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from .._declarations.names import check_name
from .._errors import DeadlineExceededError, DefinitionError, RejectedError
from .._wire.failures import SAGA_REFUSED
from .._wire.operator_requests import ApprovalRequest
from .handler_signature import takes

T = TypeVar("T")

NOT_APPROVED = "not_approved"
"""The code of the refusal when a person has decided against a saga."""
TURNED, ENDED = "the saga has turned round", "the saga has ended"
"""Why nothing is taken any more."""


def _unfit(content: tuple[Any, ...], message: type[object]) -> str:
    """Why this is no message of the type, in a sentence; nothing, and null, are read without regard to it."""
    if len(content) > 1:
        return f"it has {len(content)} arguments, and takes one"
    if (not content or content[0] is None) and not _may_be_none(message):
        return "it is empty" if not content else "it is null"
    return ""


def _may_be_none(message: type[object]) -> bool:
    try:
        TypeAdapter(message).validate_python(None)
    except ValidationError:
        return False
    except PydanticSchemaGenerationError:
        # A type of the user's own, which pydantic does not know, and a converter of the user's reads.
        return True
    return True


class ExpectedEvent(Generic[T]):
    """An external event that a saga waits for; made by `Saga.expect`.

    It comes as a signal or as an update with its name, and is kept until the saga waits for it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.arrived: deque[T] = deque()
        self.waiting = 0
        self.ran_out: datetime | None = None

    @property
    def gave_up(self) -> datetime | None:
        """Since when it is waited for no more, as it did not come in time."""
        return None if self.waiting else self.ran_out


class ApprovalDecision(BaseModel):
    """That a saga may go on: who has decided so, when, and why."""

    model_config = ConfigDict(frozen=True)

    by: str
    because: str
    at: datetime


class ExternalEvents:
    """Takes what comes, keeps it until it is asked for, and says of what came too late that it did.

    Args:
        unread: What had arrived and was not asked for before the saga continued as new, by name.
        given_up: Of what came too late in that run, since when, by name.
        is_turning: Says whether the saga has been told to turn round, so that it asks for nothing any more.
    """

    def __init__(
        self,
        unread: dict[str, list[Any]] | None = None,
        given_up: dict[str, datetime] | None = None,
        *,
        is_turning: Callable[[], bool] = lambda: False,
    ) -> None:
        self.late: list[str] = []
        self._is_turning = is_turning
        self._closed = ""
        self._unread, self._given_up = unread or {}, given_up or {}
        self._expected: dict[str, ExpectedEvent[Any]] = {}
        self._asked: dict[str, str] = {}
        self._decided: dict[str, ApprovalRequest] = {}

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The approvals that are waited for, each with the role that it takes."""
        return tuple(f"waits for approval {name!r} by {role}" for name, role in self._asked.items())

    @property
    def unread(self) -> dict[str, list[Any]]:
        """What has arrived and was not asked for, by name."""
        return self._unread | {e.name: list(e.arrived) for e in self._expected.values() if e.arrived}

    @property
    def given_up(self) -> dict[str, datetime]:
        """What is waited for no more, as it did not come in time, and since when, by name."""
        return self._given_up | {e.name: e.gave_up for e in self._expected.values() if e.gave_up}

    def expect(self, name: str, message: type[T]) -> ExpectedEvent[T]:
        """Opens a slot for an external event.

        Raises:
            DefinitionError: The name is not well formed, or taken.
        """
        check_name("an expected event", name)
        if name.startswith("saga-"):
            raise DefinitionError(f"the name of an expected event {name!r} must not begin with 'saga-'")
        if name in self._expected:
            raise DefinitionError(f"{name!r} is expected already: keep what `expect` returned")
        expected = self._expected[name] = ExpectedEvent[T](name)
        expected.ran_out = self._given_up.pop(name, None)
        convert = workflow.payload_converter()
        for value in self._unread.pop(name, []):
            # It was written as JSON when the saga continued as new.
            expected.arrived += convert.from_payloads(convert.to_payloads([value]), [message])

        async def receive(*content: Any) -> None:
            if unfit := _unfit(content, message):
                self._report(f"{name} was passed over: {unfit}")
                return
            if self._closed:
                self._report(f"{name} came too late: {self._closed}")
            elif expected.gave_up:
                self._report(f"{name} came {workflow.now() - expected.gave_up} too late")
            expected.arrived.extend(content or cast("tuple[T]", (None,)))

        def refuse(*content: Any) -> None:
            if unfit := _unfit(content, message):
                raise ApplicationError(f"{name} is refused: {unfit}", type=SAGA_REFUSED)
            if why := self._why_too_late(expected):
                raise ApplicationError(f"{name} comes too late: {why}", type=SAGA_REFUSED)

        for handler in (receive, refuse):
            takes(handler, message)
        # Temporal types handlers loosely.
        workflow.set_signal_handler(name, receive)  # pyright: ignore[reportUnknownMemberType]
        workflow.set_update_handler(  # pyright: ignore[reportUnknownMemberType]
            name, receive, validator=refuse
        )
        return expected

    def close(self, why: str) -> None:
        """Takes nothing any more, and reports what has arrived and was never asked for.

        Args:
            why: What comes from now on comes too late, in a sentence.
        """
        for name, values in self.unread.items():
            how_often = f"{len(values)} times " if len(values) > 1 else ""
            self._report(f"{name} came {how_often}and was never asked for")
        self._closed = why

    async def next(self, expected: ExpectedEvent[T], timeout: timedelta) -> T:  # noqa: ASYNC109 - a durable timer of the server, unlike `asyncio.timeout`
        """Waits for an event, the oldest first.

        Raises:
            DeadlineError: It did not come in time.
        """
        expected.ran_out = None
        expected.waiting += 1
        until = workflow.now() + timeout
        try:
            # Another wait in another branch may take what has woken this one.
            while not expected.arrived:
                await workflow.wait_condition(
                    lambda: bool(expected.arrived),
                    timeout=until - workflow.now(),
                    timeout_summary=f"until {expected.name}",
                )
        except TimeoutError:
            expected.ran_out = workflow.now()
            raise DeadlineExceededError(f"the wait for {expected.name!r}") from None
        finally:
            expected.waiting -= 1
        expected.ran_out = None
        return expected.arrived.popleft()

    async def approval(self, name: str, role: str, timeout: timedelta) -> ApprovalDecision:  # noqa: ASYNC109 - a durable timer of the server, unlike `asyncio.timeout`
        """Waits for a person's decision.

        Raises:
            RejectedError: The person has decided against it; its code is `not_approved`.
            DeadlineError: Nobody has decided in time.
        """
        if name in self._asked:
            raise DefinitionError(f"approval {name!r} is waited for already: give each its own name")
        self._decided.pop(name, None)
        self._asked[name] = role
        try:
            await workflow.wait_condition(
                lambda: name in self._decided, timeout=timeout, timeout_summary=f"until {name} is approved"
            )
        except TimeoutError:
            raise DeadlineExceededError(f"approval {name!r}") from None
        finally:
            del self._asked[name]
        request = self._decided.pop(name)
        if not request.is_approved:
            raise RejectedError(NOT_APPROVED, f"{name}: {request.by} decided against it: {request.because}")
        return ApprovalDecision(by=request.by, because=request.because, at=workflow.now())

    def refuse_decision(self, request: ApprovalRequest) -> str | None:
        """Why a decision cannot be taken, in a sentence."""
        role = self._asked.get(request.approval)
        if role is None or request.approval in self._decided:
            waiting = ", ".join(self.waits_for) or "it waits for none"
            return f"approval {request.approval!r} is not waited for: {waiting}"
        if role not in request.roles:
            return (
                f"approval {request.approval!r} takes the role {role!r}, which {request.by!r} does not have"
            )
        return None

    def decide(self, request: ApprovalRequest) -> None:
        """Takes a decision that was not refused."""
        self._decided[request.approval] = request

    def _why_too_late(self, expected: ExpectedEvent[Any]) -> str:
        if self._closed or self._is_turning():
            return self._closed or TURNED
        if expected.gave_up:
            return f"the saga waited until {expected.gave_up:%Y-%m-%d %H:%M:%S} UTC"
        return ""

    def _report(self, what: str) -> None:
        self.late.append(what)
        workflow.logger.warning("%s", what)
