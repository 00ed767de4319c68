"""External events: messages from outside for a waiting saga, as signals or updates."""

from collections import deque
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from .._core.lifecycle import Phase
from .._declarations.names import check_name
from .._errors import DeadlineExceededError, DefinitionError
from .._run.forward_check import is_compensation_requested
from .._run.scope import Scope
from .._wire.failures import SAGA_REFUSED
from .handler_signature import declare_message

T = TypeVar("T")

COMPENSATES, ENDED = "the saga is compensating", "the saga has ended"
"""The reason why the saga takes no more events."""


class ExpectedEvent(Generic[T]):
    """An external event that a saga expects; created by `Saga.expect`.

    The event arrives as a signal or as an update with the event's name, and is kept until the saga waits for
    the event.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.arrived: deque[T] = deque()
        self.waiting = 0
        self.timed_out_at: datetime | None = None

    @property
    def expired_at(self) -> datetime | None:
        """When the last wait for the event timed out, unless a wait is under way."""
        return None if self.waiting else self.timed_out_at


class ExternalEvents:
    """Receives events, keeps each event until the saga waits for the event, and reports late events.

    Args:
        scope: The saga.
        unconsumed: The events of an earlier run without a wait, by name.
        expired_waits: The times at which waits of an earlier run timed out, by name.
    """

    def __init__(
        self,
        scope: Scope,
        unconsumed: dict[str, list[Any]] | None = None,
        expired_waits: dict[str, datetime] | None = None,
    ) -> None:
        self._scope = scope
        self._unconsumed, self._expired_waits = unconsumed or {}, expired_waits or {}
        self._expected: dict[str, ExpectedEvent[Any]] = {}

    @property
    def unconsumed(self) -> dict[str, list[Any]]:
        """The events without a wait, by name."""
        return self._unconsumed | {e.name: list(e.arrived) for e in self._expected.values() if e.arrived}

    @property
    def expired_waits(self) -> dict[str, datetime]:
        """The times at which waits timed out, by the name of the event."""
        return self._expired_waits | {e.name: e.expired_at for e in self._expected.values() if e.expired_at}

    def expect(self, name: str, message: type[T]) -> ExpectedEvent[T]:
        """Opens a slot for an external event.

        Raises:
            DefinitionError: The name is not well formed, or is taken.
        """
        check_name("an expected event", name)
        if name.startswith("saga-"):
            raise DefinitionError(f"the name of an expected event {name!r} must not begin with 'saga-'")
        if name in self._expected:
            raise DefinitionError(f"{name!r} is expected already: keep what `expect` returned")
        expected = self._expected[name] = ExpectedEvent[T](name)
        expected.timed_out_at = self._expired_waits.pop(name, None)
        convert = workflow.payload_converter()
        for value in self._unconsumed.pop(name, []):
            # The earlier run wrote the event as JSON when the saga continued as new.
            expected.arrived += convert.from_payloads(convert.to_payloads([value]), [message])
        self._set_handlers(expected, message)
        return expected

    def report_unconsumed(self) -> None:
        """Reports the events without a wait."""
        for name, values in self.unconsumed.items():
            count = f"{len(values)} times " if len(values) > 1 else ""
            self._report(f"{name} arrived {count}without a wait")

    async def wait(self, expected: ExpectedEvent[T], timeout: timedelta) -> T:
        """Waits for an event, and returns the oldest event.

        Raises:
            DeadlineExceededError: The event did not come in time.
        """
        expected.timed_out_at = None
        expected.waiting += 1
        deadline = workflow.now() + timeout
        try:
            # A wait in another branch may take the event that has ended this wait.
            while not expected.arrived:
                await workflow.wait_condition(
                    lambda: bool(expected.arrived),
                    timeout=deadline - workflow.now(),
                    timeout_summary=f"until {expected.name}",
                )
        except TimeoutError:
            expected.timed_out_at = workflow.now()
            raise DeadlineExceededError(f"the wait for {expected.name!r}") from None
        finally:
            expected.waiting -= 1
        expected.timed_out_at = None
        return expected.arrived.popleft()

    def _set_handlers(self, expected: ExpectedEvent[T], message: type[T]) -> None:
        name = expected.name

        async def receive(*content: Any) -> None:
            if mismatch := _mismatch(content, message):
                self._report(f"{name} was ignored: {mismatch}")
                return
            if closed := self._reason_closed():
                self._report(f"{name} came too late: {closed}")
            elif expected.expired_at:
                self._report(f"{name} came {workflow.now() - expected.expired_at} too late")
            expected.arrived.extend(content or cast("tuple[T]", (None,)))

        def validate(*content: Any) -> None:
            if mismatch := _mismatch(content, message):
                raise ApplicationError(f"{name} is refused: {mismatch}", type=SAGA_REFUSED)
            if reason := self._reason_too_late(expected):
                raise ApplicationError(f"{name} comes too late: {reason}", type=SAGA_REFUSED)

        for handler in (receive, validate):
            declare_message(handler, message)
        # Temporal types handlers loosely.
        workflow.set_signal_handler(name, receive)  # pyright: ignore[reportUnknownMemberType]
        workflow.set_update_handler(  # pyright: ignore[reportUnknownMemberType]
            name, receive, validator=validate
        )

    def _reason_closed(self) -> str:
        if self._scope.lifecycle.has_compensated:
            return COMPENSATES
        return ENDED if self._scope.lifecycle.phase is Phase.ENDED else ""

    def _reason_too_late(self, expected: ExpectedEvent[Any]) -> str:
        if closed := self._reason_closed():
            return closed
        if is_compensation_requested(self._scope):
            return COMPENSATES
        if expected.expired_at:
            return f"the saga waited until {expected.expired_at:%Y-%m-%d %H:%M:%S} UTC"
        return ""

    def _report(self, report: str) -> None:
        self._scope.reports.append(report)
        workflow.logger.warning("%s", report)


def _mismatch(content: tuple[Any, ...], message: type[object]) -> str:
    """Why the arguments are no message of the type; Temporal decodes null without regard to the type."""
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
        # The type is a user's own type, unknown to pydantic and decoded by the user's converter.
        return True
    return True
