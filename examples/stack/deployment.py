"""The parts of an example: services, programs to run as processes, and types of saga."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from examples.service_kit.service import Service

from .service_databases import Steps

MessageT = TypeVar("MessageT", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCommand:
    """A command for a service: `POST /{command}` with a message.

    Args:
        service: The name of the service.
        command: The name of the command.
        message: The body of the request.
    """

    service: str
    command: str
    message: BaseModel


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaType(Generic[MessageT]):
    """The start, cancellation and end of the sagas of a type, in both styles.

    Args:
        message: The model of the start message.
        id_prefix: The beginning of every saga id of this type.
        saga_id: The id of the saga for a message: the same in both styles.
        workflow: The run method of the workflow, for orchestration.
        summary: A line for lists of workflows, for orchestration.
        start: The start command, for choreography.
        cancel: The cancel command for a saga id, for choreography; `None` if there is none.
        end_status: The final status of a saga from the steps in all services, for choreography:
            `completed`, `compensated`, `cancelled`, or `None` while a service still has to react.
    """

    message: type[MessageT]
    id_prefix: str
    saga_id: Callable[[MessageT], str]
    workflow: Callable[[Any, MessageT], Awaitable[object]]
    summary: Callable[[MessageT], str]
    start: Callable[[MessageT], ServiceCommand]
    cancel: Callable[[str], ServiceCommand] | None = None
    end_status: Callable[[Steps], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The services, programs and saga types of an example.

    Args:
        services: The services by name.
        ports: The preferred port of each service.
        service_module: Runs a service with `python -m`.
        worker_module: Runs the worker with `python -m`.
        saga_types: The types of saga.
    """

    services: Mapping[str, Service]
    ports: Mapping[str, int]
    service_module: str
    worker_module: str
    saga_types: tuple[SagaType[Any], ...]

    def saga_type_of(self, message: BaseModel) -> SagaType[Any]:
        """Finds the saga type for a start message.

        Raises:
            LookupError: No saga of this deployment starts with a message of this model.
        """
        for saga_type in self.saga_types:
            if isinstance(message, saga_type.message):
                return saga_type
        raise LookupError(f"no saga of this deployment starts with a {type(message).__name__}")

    def saga_type_with(self, saga_id: str) -> SagaType[Any]:
        """Finds the type of a saga by the saga id.

        Raises:
            LookupError: The id belongs to no type of this deployment.
        """
        for saga_type in self.saga_types:
            if saga_id.startswith(saga_type.id_prefix):
                return saga_type
        raise LookupError(f"the saga id {saga_id!r} belongs to no saga type of this deployment")
