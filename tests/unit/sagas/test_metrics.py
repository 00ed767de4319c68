"""The metrics of a saga and their attributes: few attributes, for a bounded number of time series."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

import pytest
from temporalio.common import (
    MetricAttributes,
    MetricCounter,
    MetricGauge,
    MetricGaugeFloat,
    MetricHistogram,
    MetricHistogramFloat,
    MetricHistogramTimedelta,
    MetricMeter,
)

from sagas._temporal.metrics import DESCRIPTIONS, SagaMetrics
from sagas.operator import METRIC_BUCKETS

HOUR = timedelta(hours=1)


@dataclass
class MeterSpy(MetricMeter):
    """A meter that records all calls."""

    lines: list[tuple[str, object, dict[str, object]]] = field(default_factory=list)
    units: dict[str, str | None] = field(default_factory=dict)

    def create_counter(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricCounter:
        return Counter(self, name, description, unit)

    def create_histogram_timedelta(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogramTimedelta:
        return Durations(self, name, description, unit)

    def create_histogram(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogram:
        raise NotImplementedError

    def create_histogram_float(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricHistogramFloat:
        raise NotImplementedError

    def create_gauge(self, name: str, description: str | None = None, unit: str | None = None) -> MetricGauge:
        raise NotImplementedError

    def create_gauge_float(
        self, name: str, description: str | None = None, unit: str | None = None
    ) -> MetricGaugeFloat:
        raise NotImplementedError

    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> MetricMeter:
        raise NotImplementedError


class Instrument:
    """An instrument that records a line per value."""

    def __init__(self, meter: MeterSpy, name: str, description: str | None, unit: str | None) -> None:
        assert description
        meter.units[name] = unit
        self._meter, self._name, self._description, self._unit = meter, name, description, unit

    @property
    def name(self) -> str:
        return self._name

    @property
    def description(self) -> str | None:
        return self._description

    @property
    def unit(self) -> str | None:
        return self._unit

    def with_additional_attributes(self, additional_attributes: MetricAttributes) -> Self:
        raise NotImplementedError

    def note(self, value: object, attributes: MetricAttributes | None) -> None:
        self._meter.lines.append((self._name, value, dict(attributes or {})))


class Counter(Instrument, MetricCounter):
    def add(self, value: int, additional_attributes: MetricAttributes | None = None) -> None:
        self.note(value, additional_attributes)


class Durations(Instrument, MetricHistogramTimedelta):
    def record(self, value: timedelta, additional_attributes: MetricAttributes | None = None) -> None:
        self.note(value, additional_attributes)


@pytest.mark.parametrize(
    ("report", "lines"),
    [
        (
            SagaMetrics.started,
            [
                ("saga_started", 1, {}),
                ("saga_stuck_entered", 0, {}),
                ("saga_stuck_left", 0, {}),
                ("saga_compensation_failed", 0, {}),
            ],
        ),
        (
            lambda metrics: metrics.ended("settled", HOUR),
            [("saga_ended", 1, {"status": "settled"}), ("saga_duration", HOUR, {"status": "settled"})],
        ),
        (SagaMetrics.compensation_done, [("saga_compensation_done", 1, {})]),
        (SagaMetrics.compensation_failed, [("saga_compensation_failed", 1, {})]),
        (SagaMetrics.stuck_entered, [("saga_stuck_entered", 1, {})]),
        (
            lambda metrics: metrics.stuck_left(HOUR),
            [("saga_stuck_left", 1, {}), ("saga_stuck_duration", HOUR, {})],
        ),
    ],
)
def test_each_change_of_a_saga_is_counted(
    report: Callable[[SagaMetrics], None], lines: list[tuple[str, object, dict[str, object]]]
) -> None:
    """The status is the only attribute; the workflow type comes from the meter of the workflow."""
    meter = MeterSpy()

    report(SagaMetrics(meter))

    assert meter.lines == lines
    assert {unit for name, unit in meter.units.items() if name.endswith("_duration")} <= {"duration"}


def test_no_name_has_an_exporters_suffix() -> None:
    """`saga_started_total` would be exported as `saga_started_total_total`."""
    assert not [name for name in DESCRIPTIONS if name.endswith(("_total", "_seconds", "_count", "_bucket"))]


def test_buckets_cover_long_sagas() -> None:
    """The default buckets of Temporal end at ten seconds."""
    assert set(METRIC_BUCKETS) == {name for name in DESCRIPTIONS if name.endswith("_duration")}
    for name, bounds in METRIC_BUCKETS.items():
        assert bounds == sorted(set(bounds)), name
        assert bounds[-1] >= timedelta(days=7).total_seconds(), name
