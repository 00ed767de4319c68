"""Replaying recorded histories with the current code."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.worker import Replayer
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from sagas import SagaPlugin
from sagas.operator import RESCUE_TYPE, SAGA_STATUS, WireFormatError

from .._errors import ConfigurationError
from .difference import describe_difference
from .recording import RecordedRun, Recording


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The result of replaying one history.

    Args:
        recording: The recording of the history.
        run: The workflow run of the history.
        difference: The first event that the current code does not reproduce, and the difference, or the
            sentence that refuses another wire format; empty when the current code reproduces the history.
    """

    recording: Recording
    run: RecordedRun
    difference: str


async def replay_recordings(
    recordings: Sequence[Recording],
    workflows: Sequence[type],
    *,
    data_converter: DataConverter = DataConverter.default,
) -> list[ReplayResult]:
    """Replays every history: the current code has to reproduce the recorded commands.

    Args:
        recordings: The recordings.
        workflows: The workflow classes of the recordings; rescues need no class.
        data_converter: The data converter of the client that ran the sagas.

    Raises:
        ConfigurationError: A workflow type of the recordings has no class in `workflows`.
    """
    given = {RESCUE_TYPE, *(WorkflowDefinition.must_from_class(each).name for each in workflows)}
    if missing := {run.workflow_type for each in recordings for run in each.manifest.runs} - given:
        raise ConfigurationError(
            f"the recordings contain workflow types without a class: {', '.join(sorted(missing))}"
        )
    replayers = {
        has_attribute: Replayer(
            workflows=workflows,
            plugins=[SagaPlugin(search_attributes=has_attribute)],
            data_converter=data_converter,
            runtime=_silent_runtime(),
        )
        for has_attribute in (False, True)
    }
    results: list[ReplayResult] = []
    for recording in recordings:
        for run, history in zip(recording.manifest.runs, recording.histories, strict=True):
            replayer = replayers[not _has_status_memo(history)]
            try:
                result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
            except WireFormatError as error:
                results.append(ReplayResult(recording, run, str(error)))
                continue
            failure = result.replay_failure
            difference = describe_difference(failure, history) if failure else ""
            results.append(ReplayResult(recording, run, difference))
    return results


def _has_status_memo(history: WorkflowHistory) -> bool:
    """Tells whether the saga wrote its status into its memo, as `search_attributes=False` makes sagas do."""
    memos = (event.workflow_properties_modified_event_attributes.upserted_memo for event in history.events)
    return any(SAGA_STATUS.name in memo.fields for memo in memos)


@lru_cache
def _silent_runtime() -> Runtime:
    """Creates a runtime without logging: Temporal's core would print every difference to stdout."""
    return Runtime(telemetry=TelemetryConfig(logging=None))
