"""What a fleet of sagas is counted by: how many start, how they end, and which of them are stuck.

The instruments are those of the workflow's own meter, which stays silent in replay and adds the workflow
type, the task queue and the namespace to everything. No id is ever an attribute: which sagas it is about is
asked of Temporal, by the search attribute.

A workflow task that fails or is lost is done again, and what it counted is counted again: these are figures
to watch a system by, not to settle accounts.
"""

from collections.abc import Mapping
from datetime import timedelta

from temporalio.common import MetricMeter

STARTED, ENDED = "saga_started", "saga_ended"
COMPENSATION_DONE, COMPENSATION_FAILED = "saga_compensation_done", "saga_compensation_failed"
STUCK_ENTERED, STUCK_LEFT = "saga_stuck_entered", "saga_stuck_left"
DURATION, STUCK_DURATION = "saga_duration", "saga_stuck_duration"

STATUS = "status"
"""The attribute of what has ended: how."""

# Neither `_total` nor `_seconds`: Prometheus' exporter adds them, to names that have them too.
DESCRIPTIONS: Mapping[str, str] = {
    STARTED: "Sagas that have begun",
    ENDED: "Sagas that have ended",
    COMPENSATION_DONE: "Compensations that have succeeded",
    COMPENSATION_FAILED: "Compensations of which all attempts of a round have failed",
    STUCK_ENTERED: "Sagas that have got stuck",
    STUCK_LEFT: "Sagas that are not stuck any more",
    DURATION: "From the start of a saga to its end",
    STUCK_DURATION: "How long a saga was stuck",
}
"""Every metric of sagas."""

_SECOND, _MINUTE, _HOUR, _DAY = 1.0, 60.0, 3600.0, 86400.0
METRIC_BUCKETS: Mapping[str, list[float]] = {
    DURATION: [0.1, 0.5, _SECOND, 5.0, 30.0, _MINUTE, 5 * _MINUTE, _HOUR, _DAY, 7 * _DAY, 30 * _DAY],
    STUCK_DURATION: [_SECOND, 10.0, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 4 * _HOUR, _DAY, 7 * _DAY],
}
"""Buckets in seconds for `PrometheusConfig` and `OpenTelemetryConfig`, whose own end at ten seconds; a saga
may take a month."""


class SagaMetrics:
    """Counts one saga.

    Args:
        meter: That of its workflow.
    """

    def __init__(self, meter: MetricMeter) -> None:
        self._meter = meter

    def started(self) -> None:
        """It has begun; not where it continues as new."""
        self._count(STARTED)
        # A series that begins with one shows no increase to who asks for it, so these begin with nothing.
        for name in (STUCK_ENTERED, STUCK_LEFT, COMPENSATION_FAILED):
            self._count(name, 0)

    def ended(self, status: str, after: timedelta) -> None:
        """It is completed, compensated or settled, so long after its start."""
        attributes = {STATUS: status}
        self._meter.create_counter(ENDED, DESCRIPTIONS[ENDED]).add(1, attributes)
        self._record(DURATION, after, attributes)

    def compensation_done(self) -> None:
        """Something has been made up for."""
        self._count(COMPENSATION_DONE)

    def compensation_failed(self) -> None:
        """All attempts of a round are spent, or it was refused."""
        self._count(COMPENSATION_FAILED)

    def stuck_entered(self) -> None:
        """From now on it waits for better times, or for a person."""
        self._count(STUCK_ENTERED)

    def stuck_left(self, after: timedelta) -> None:
        """It goes on, after so long."""
        self._count(STUCK_LEFT)
        self._record(STUCK_DURATION, after, {})

    def _count(self, name: str, value: int = 1) -> None:
        self._meter.create_counter(name, DESCRIPTIONS[name]).add(value)

    def _record(self, name: str, duration: timedelta, attributes: Mapping[str, str]) -> None:
        # With this unit the exporter says seconds or milliseconds, whichever it was told to.
        self._meter.create_histogram_timedelta(name, DESCRIPTIONS[name], "duration").record(
            duration, attributes
        )
