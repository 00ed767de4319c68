"""A handle of a saga: Temporal's workflow handle, with the outcome of the saga."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from temporalio.client import Client, WorkflowHandle
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from .._core.saga_outcome import SagaOutcome
from .outcome_reader import OutcomeReader

T_co = TypeVar("T_co", covariant=True)
O = TypeVar("O")  # noqa: E741 - the output, as in a step


class SagaHandle(WorkflowHandle[Any, T_co]):
    """A handle of a saga: a `WorkflowHandle` with the outcome of the saga.

    `start_saga` returns a handle, and `SagaHandle.for_id` makes a handle of a saga started elsewhere. The
    methods of `WorkflowHandle` are unchanged: `cancel()`, `signal()`, `result()` and the others.
    """

    @overload
    @staticmethod
    def for_id(client: Client, saga_id: str, run: Callable[..., Awaitable[O]], /) -> "SagaHandle[O]": ...
    @overload
    @staticmethod
    def for_id(client: Client, saga_id: str, run: None = None, /) -> "SagaHandle[object]": ...
    @staticmethod
    def for_id(
        client: Client, saga_id: str, run: Callable[..., Awaitable[object]] | None = None, /
    ) -> "SagaHandle[object]":
        """Makes a handle of a saga started elsewhere, without a request to the server.

        Args:
            client: Has `SagaPlugin`.
            saga_id: The id of the saga, or of a child: `order-7/payment`.
            run: The run method of the saga's workflow class, which declares the type of the result. Without
                `run`, the result is plain JSON data.
        """
        result_type = None if run is None else result_type_of(run)
        return SagaHandle(client, saga_id, result_type=result_type)

    async def outcome(self) -> SagaOutcome[T_co]:
        """Waits until the saga has ended, and returns the outcome.

        The call follows a saga that continues as new, or is resumed in a new run by a reset or a rescue, and
        waits while the saga is stuck or held and while a rescue is open. A saga compensated by a rescue is
        `Compensated`, or `Settled` if a person resolved a step manually. An interrupted saga without a rescue
        is `CutOff` at once; call again after the rescue.

        The outcome is read from the server, without a worker. Cancelling the call does not cancel the saga.

        Raises:
            SagaNotFoundError: The server has no saga with this id, or does not keep the history any more.
            StartError: The saga was refused before the first step, for example because the workflow has an
                execution timeout; nothing has happened.
            SagaError: The history or the result cannot be read with the data converter of the client or the
                declared result type, or a later workflow has taken over the id of the saga.
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
