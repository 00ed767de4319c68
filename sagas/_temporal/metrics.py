"""Metrics of sagas: starts, endings, compensations and stuck sagas.

The instruments belong to the workflow's meter, which is silent during replay and adds the workflow type, the
task queue and the namespace to every measurement. Ids are never metric attributes: to find individual sagas,
query Temporal by the search attribute.

When a workflow task fails or is lost, Temporal executes the task again, and the measurements of the task are
recorded again: the metrics are for monitoring, not for accounting.
"""

from collections.abc import Mapping
from datetime import timedelta

from temporalio.common import MetricMeter

STARTED, ENDED = "saga_started", "saga_ended"
COMPENSATION_DONE, COMPENSATION_FAILED = "saga_compensation_done", "saga_compensation_failed"
STUCK_ENTERED, STUCK_LEFT = "saga_stuck_entered", "saga_stuck_left"
DURATION, STUCK_DURATION = "saga_duration", "saga_stuck_duration"

STATUS = "status"
"""The metric attribute with the final status of a saga."""

# Neither `_total` nor `_seconds`: the Prometheus exporter appends the suffixes, also to names that end in
# one.
DESCRIPTIONS: Mapping[str, str] = {
    STARTED: "Sagas that have started",
    ENDED: "Sagas that have ended",
    COMPENSATION_DONE: "Compensations that have succeeded",
    COMPENSATION_FAILED: "Compensations of which all attempts of a round have failed",
    STUCK_ENTERED: "Sagas that have become stuck",
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
"""Histogram buckets in seconds for `PrometheusConfig` and `OpenTelemetryConfig`. The default buckets end at
ten seconds; a saga may take a month."""


class SagaMetrics:
    """Records the metrics of one saga.

    Args:
        meter: The meter of the workflow.
    """

    def __init__(self, meter: MetricMeter) -> None:
        self._meter = meter

    def started(self) -> None:
        """Counts the start of a saga; not called in a run that continues an earlier run."""
        self._count(STARTED)
        # A time series whose first value is 1 shows no increase in queries, so these counters start at 0.
        for name in (STUCK_ENTERED, STUCK_LEFT, COMPENSATION_FAILED):
            self._count(name, 0)

    def ended(self, status: str, after: timedelta) -> None:
        """Counts a completed, compensated or settled saga, and records the duration since the start."""
        attributes = {STATUS: status}
        self._meter.create_counter(ENDED, DESCRIPTIONS[ENDED]).add(1, attributes)
        self._record(DURATION, after, attributes)

    def compensation_done(self) -> None:
        """Counts a compensation that is done."""
        self._count(COMPENSATION_DONE)

    def compensation_failed(self) -> None:
        """Counts a round of compensation whose attempts all failed, or a compensation that was rejected."""
        self._count(COMPENSATION_FAILED)

    def stuck_entered(self) -> None:
        """Counts a saga that becomes stuck."""
        self._count(STUCK_ENTERED)

    def stuck_left(self, after: timedelta) -> None:
        """Counts a saga that is no longer stuck, and records how long the saga was stuck."""
        self._count(STUCK_LEFT)
        self._record(STUCK_DURATION, after, {})

    def _count(self, name: str, value: int = 1) -> None:
        self._meter.create_counter(name, DESCRIPTIONS[name]).add(value)

    def _record(self, name: str, duration: timedelta, attributes: Mapping[str, str]) -> None:
        # The unit "duration" lets the exporter record seconds or milliseconds, as configured.
        self._meter.create_histogram_timedelta(name, DESCRIPTIONS[name], "duration").record(
            duration, attributes
        )
