"""A handle of a saga: Temporal's workflow handle, with the outcome of the saga."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from temporalio.client import Client, WorkflowHandle
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .outcome import SagaOutcome
from .outcome_reader import OutcomeReader

T_co = TypeVar("T_co", covariant=True)
O = TypeVar("O")  # noqa: E741 - the output, as in a step


class SagaHandle(WorkflowHandle[Any, T_co]):
    """A saga that was started: a `WorkflowHandle` that also tells the outcome of the saga.

    `start_saga` returns a handle, and `SagaHandle.for_id` makes a handle of a saga that was started
    elsewhere. The methods of `WorkflowHandle` do as ever: `cancel()`, `signal()`, `result()` and the others.
    """

    @overload
    @staticmethod
    def for_id(client: Client, saga_id: str, run: Callable[..., Awaitable[O]], /) -> "SagaHandle[O]": ...
    @overload
    @staticmethod
    def for_id(client: Client, saga_id: str, run: None = None, /) -> "SagaHandle[object]": ...
    @staticmethod
    def for_id(
        client: Client, saga_id: str, run: Callable[..., Awaitable[Any]] | None = None, /
    ) -> "SagaHandle[Any]":
        """Makes a handle of a saga that was started elsewhere, without asking the server.

        Args:
            client: Has `SagaPlugin`.
            saga_id: The id of the saga, or of a child: `order-7/payment`.
            run: The run method of the saga's workflow class, which declares the type of the result. Without
                `run`, the result is plain JSON data.
        """
        result_type = None if run is None else result_type_of(run)
        return SagaHandle(client, saga_id, result_type=result_type)

    async def outcome(self) -> SagaOutcome[T_co]:
        """Waits until the saga has ended, and returns how.

        The call follows a saga that continues as new, or that a reset or a rescue resumes in a new run, and
        waits as long as the saga or a rescue of the saga is open, also while the saga is stuck or held. A
        saga that a rescue compensated is `Compensated`, or `Settled` if a person resolved a step manually. An
        interrupted saga without a rescue is `CutOff` at once; call again after the rescue.

        The outcome is read from the server, without a worker. Cancelling the call does not cancel the saga.

        Raises:
            SagaNotFoundError: The server has no saga with this id, or does not keep its history any more.
            StartError: The saga was refused before its first step, for example because its workflow has an
                execution timeout; nothing has happened.
            SagaError: The history or the result cannot be read with this client's data converter or the
                declared result type; or the id belongs to another saga by now, which was started without
                `start_saga`.
        """
        reader = OutcomeReader[T_co](
            self._client,
            self.id,
            first_run_id=self.first_execution_run_id,
            result_type=self._result_type,
        )
        return await reader.outcome()


def result_type_of(run: Callable[..., Awaitable[object]]) -> type | None:
    """Returns the declared result type of a run method; None if the method declares none."""
    return WorkflowDefinition.get_name_and_result_type(run)[1]
