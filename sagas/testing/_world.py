"""The world in which a saga of a test runs: a Temporal server today, a simulator tomorrow."""

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from .._client.saga_handle import SagaHandle
from .._core.saga_outcome import SagaOutcome
from .._history.saga_record import SagaRecord
from ..operator import SagaClient
from ._participants.scripted_participants import ScriptedParticipants

T = TypeVar("T")


class SagaWorld(Protocol):
    """Runs one saga of a plan, and knows the time, the inputs and the history of the saga."""

    @property
    def participants(self) -> ScriptedParticipants:
        """The participants of the saga."""
        ...

    @property
    def handle(self) -> SagaHandle[Any]:
        """The handle of the saga."""
        ...

    @property
    def operator(self) -> SagaClient:
        """The operators' client."""
        ...

    async def outcome(self) -> SagaOutcome[Any]:
        """Waits for the end of the saga."""
        ...

    async def record(self) -> SagaRecord:
        """Reads the saga with the children and the rescues."""
        ...

    async def wait_for_status(self, status: str, *, nth: int) -> None:
        """Waits until the saga has published a status for the `nth` time."""
        ...

    async def wait_for_wait(self, name: str) -> None:
        """Waits until the saga waits for an event or an approval."""
        ...

    async def wait(self, waiting: Coroutine[object, object, T]) -> T:
        """Waits, unless the test fails first or the timeout passes."""
        ...
