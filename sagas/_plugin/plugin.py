"""What a Temporal client needs so that sagas can be opened in its workflows."""

import dataclasses
import logging
from collections.abc import Sequence

from pydantic import ValidationError
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import DataConverter
from temporalio.plugin import SimplePlugin
from temporalio.worker import ReplayerConfig, WorkerConfig

from .._errors import DefinitionError
from .._temporal.payload_converter import SagaPayloadConverter
from .._temporal.sandbox import with_sagas
from .._wire.operator_requests import Authorize
from .._workflow.rescue_workflow import RescueSaga
from .interceptor import SagaInterceptor

logger = logging.getLogger(__name__)


class SagaPlugin(SimplePlugin):
    """Makes `Saga` usable in every workflow of a client; existing workflows are replayed as ever.

    Give it to the client: its workers get it from there, and once, even if they are given it as well. A
    `Replayer` needs its own::

        client = await Client.connect("localhost:7233", plugins=[SagaPlugin()])

    It converts pydantic models, lets the sandbox pass `sagas` through, turns `RejectedError` of an activity
    into Temporal's non-retryable kind, fails a workflow whose input does not fit its type, and keeps a
    cancel away from compensations.

    Args:
        search_attributes: Whether sagas set the search attribute `SagaStatus` when they leave the happy path.
            It must be registered, or a saga that wants to compensate is wedged, and one whose workflow goes
            on after its end. Otherwise they set a memo
            of that name, by which no server finds them: `sagas list` looks through all that there are.
            Choose once per namespace: what a running saga has written must be written again in replay.
        authorize: Asked before an operator's verb is carried out: given the verb and the request, it says in
            a sentence why it may not be, or `None`. It runs in the workflow, so it must neither wait nor
            look outside. Without it, an approval takes the role that the request claims, and the first worker
            with workflows logs that.
    """

    def __init__(self, *, search_attributes: bool = True, authorize: Authorize | None = None) -> None:
        self.search_attributes = search_attributes
        own = SagaInterceptor(search_attributes=search_attributes, authorize=authorize)
        self._own = own
        self._has_logged = authorize is not None  # then there is nothing to log
        # Temporal types the activities of a plugin loosely.
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            "sagas",
            data_converter=_converter,
            workflows=_with_rescue,
            interceptors=[own],
            workflow_runner=with_sagas,
            workflow_failure_exception_types=[ValidationError],
        )

    def configure_worker(self, config: WorkerConfig) -> WorkerConfig:
        """Adds what sagas need, unless the worker has it from its client.

        Raises:
            DefinitionError: It has another plugin from there.
        """
        if self._is_there(config):
            return config
        # A worker without workflows carries out no approval.
        if config.get("workflows"):  # pyright: ignore[reportUnknownMemberType] - Temporal types options loosely
            self._log_missing_authorization()
        return super().configure_worker(config)

    def configure_replayer(self, config: ReplayerConfig) -> ReplayerConfig:
        """As for a worker."""
        return config if self._is_there(config) else super().configure_replayer(config)

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
        """Two would wrap the answer of a child twice, and its parent could not read it."""
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
    ordinary = (DataConverter.default.payload_converter_class, PydanticPayloadConverter)
    if existing is None or existing.payload_converter_class in ordinary:
        base = existing or DataConverter.default
        return dataclasses.replace(base, payload_converter_class=SagaPayloadConverter)
    return existing


def _with_rescue(existing: Sequence[type] | None) -> Sequence[type]:
    """Every worker that runs sagas can rescue them; one that only runs activities gets no workflow."""
    return [*existing, RescueSaga] if existing else []
