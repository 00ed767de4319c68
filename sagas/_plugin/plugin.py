"""The plugin that a Temporal client needs for sagas."""

import dataclasses
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pydantic import ValidationError
from temporalio.client import ClientConfig, WorkflowHistory
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverter,
    DefaultFailureConverterWithEncodedAttributes,
    FailureConverter,
)
from temporalio.plugin import SimplePlugin
from temporalio.worker import Replayer, ReplayerConfig, WorkerConfig, WorkflowReplayResult

from .._errors import DefinitionError
from .._temporal.failure_converter import EncodedSagaFailureConverter, SagaFailureConverter
from .._temporal.payload_converter import SagaPayloadConverter
from .._temporal.sandbox import with_sagas
from .._wire.operator_requests import Authorize
from .._workflow.rescue_workflow import RescueSaga, UpgradingRescueSaga
from .interceptor import SagaInterceptor
from .interpreter_exit import delay_exit
from .replay_checks import refuse_other_formats

logger = logging.getLogger(__name__)

_FAILURE_CONVERTERS: dict[type[FailureConverter], type[FailureConverter]] = {
    DefaultFailureConverter: SagaFailureConverter,
    DefaultFailureConverterWithEncodedAttributes: EncodedSagaFailureConverter,
}

_Replay = Callable[
    [Replayer, AsyncIterator[WorkflowHistory]],
    AbstractAsyncContextManager[AsyncIterator[WorkflowReplayResult]],
]


class SagaPlugin(SimplePlugin):
    """Makes `Saga` usable in every workflow of a client; the replay of existing workflows does not change.

    Pass the plugin to the client. Workers inherit the plugin from the client; a second registration with the
    worker is ignored. A `Replayer` needs a plugin too::

        client = await Client.connect("localhost:7233", plugins=[SagaPlugin()])

    The plugin converts pydantic models, passes `sagas` through the sandbox, turns a `RejectedError` of an
    activity into a non-retryable `ApplicationError`, fails a workflow whose input does not match the declared
    type, and protects compensations from cancellation.

    Args:
        search_attributes: Whether sagas set the search attribute `SagaStatus` when leaving the happy path.
            The search attribute must be registered. Otherwise every workflow task fails in a saga that starts
            compensating, and in a workflow that goes on after the end of the saga. With `False`, sagas set a
            memo of the same name instead. The server cannot search memos: `sagas list` reads all workflows.
            Choose once per namespace: replay must repeat the commands of a running saga.
        authorize: Called before an operator's verb is executed, with the verb and the request; returns the
            reason of a refusal as a sentence, or `None`. The function runs in the workflow, and must neither
            block nor do I/O. Without the function, an approval trusts the role in the request, and the first
            worker with workflows logs that at the level INFO.
    """

    def __init__(self, *, search_attributes: bool = True, authorize: Authorize | None = None) -> None:
        self.search_attributes = search_attributes
        own = SagaInterceptor(search_attributes=search_attributes, authorize=authorize)
        self._own = own
        self._has_logged = authorize is not None
        # Temporal types the activities of a plugin loosely.
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            "sagas",
            data_converter=_converter,
            workflows=_with_rescue,
            interceptors=[own],
            workflow_runner=with_sagas,
            workflow_failure_exception_types=[ValidationError],
        )

    def configure_client(self, config: ClientConfig) -> ClientConfig:
        """Configures a client for sagas."""
        delay_exit()
        return super().configure_client(config)

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Configures a worker for sagas, unless the worker inherits the plugin from the client.

        Raises:
            DefinitionError: The client has a `SagaPlugin` with other settings.
        """
        delay_exit()
        if self._is_there(config):
            return config
        # A worker without workflows executes no approval.
        if config.get("workflows"):  # pyright: ignore[reportUnknownMemberType] - Temporal types options loosely
            self._log_missing_authorization()
        return _with_upgrading_rescue(super().configure_worker(config))

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """Configures a replayer for sagas, like a worker."""
        return config if self._is_there(config) else super().configure_replayer(config)

    @asynccontextmanager
    async def run_replayer(
        self,
        replayer: Replayer,
        histories: AsyncIterator[WorkflowHistory],
        next: _Replay,  # noqa: A002 - Temporal's
    ) -> AsyncGenerator[AsyncIterator[WorkflowReplayResult]]:
        """Replays histories; raises `WireFormatError` for a saga with another wire format."""
        async with super().run_replayer(replayer, refuse_other_formats(histories), next) as results:
            yield results

    def _log_missing_authorization(self) -> None:
        """Logs, once for each plugin, that approvals accept any role."""
        if self._has_logged:
            return
        self._has_logged = True
        logger.info(
            "SagaPlugin has no authorize: approvals accept the role that the caller claims; restrict who "
            "reaches the Temporal server, or pass SagaPlugin(authorize=...)"
        )

    def _is_there(self, config: WorkerConfig | ReplayerConfig) -> bool:
        """Whether the plugin is installed: a second plugin would wrap the result of a child twice.

        Raises:
            DefinitionError: A `SagaPlugin` with other settings is installed.
        """
        if "interceptors" not in config:
            return False
        others = [each for each in config["interceptors"] if isinstance(each, SagaInterceptor)]
        if any(each.settings != self._own.settings for each in others):
            raise DefinitionError(
                "there are two SagaPlugins with different settings: give one to the client, and none to its "
                "workers, which get it from there"
            )
        return bool(others)


def _converter(existing: DataConverter | None) -> DataConverter:
    base = existing or DataConverter.default
    ordinary = (DataConverter.default.payload_converter_class, PydanticPayloadConverter)
    if base.payload_converter_class in ordinary:
        base = dataclasses.replace(base, payload_converter_class=SagaPayloadConverter)
    failures = _FAILURE_CONVERTERS.get(base.failure_converter_class)
    return dataclasses.replace(base, failure_converter_class=failures) if failures else base


def _with_rescue(existing: Sequence[type] | None) -> Sequence[type]:
    """Adds the rescue workflow to a worker with workflows; a worker with only activities gets no workflow."""
    return [*existing, RescueSaga] if existing else []


def _with_upgrading_rescue(config: WorkerConfig) -> WorkerConfig:
    """Gives the rescue workflow a versioning behavior, if the worker uses versioning."""
    deployment = config["deployment_config"] if "deployment_config" in config else None  # noqa: SIM401
    if deployment is not None and deployment.use_worker_versioning and "workflows" in config:
        config["workflows"] = [
            UpgradingRescueSaga if each is RescueSaga else each for each in config["workflows"]
        ]
    return config
