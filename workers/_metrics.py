"""Metrics of Temporal and of sagas, where Prometheus fetches them."""

from functools import lru_cache

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from sagas.operator import METRIC_BUCKETS

from ._errors import ConfigurationError
from ._settings import Settings


def metrics_runtime(settings: Settings) -> Runtime | None:
    """The runtime for `connect` that offers metrics at `SAGAS_METRICS`; `None` where that is not set.

    Only one process can have the address, so it is the worker's, where sagas are counted. The address is
    held until the process ends.

    Raises:
        ConfigurationError: It is no address, or another process has it.
    """
    return _runtime(settings.metrics) if settings.metrics else None


@lru_cache
def _runtime(address: str) -> Runtime:
    endpoint = PrometheusConfig(
        bind_address=address,
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides=METRIC_BUCKETS,
    )
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=endpoint))
    except ValueError as error:
        raise ConfigurationError(
            f"SAGAS_METRICS is {address!r}: {error}; write an address of this machine and a free port, "
            "as 127.0.0.1:9464"
        ) from error
