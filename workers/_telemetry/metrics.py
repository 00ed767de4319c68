"""Metrics of Temporal and of sagas for Prometheus."""

from functools import lru_cache

from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from sagas.operator import METRIC_BUCKETS

from .._configuration.settings import Settings
from .._errors import ConfigurationError


def metrics_runtime(settings: Settings) -> Runtime | None:
    """Creates the runtime for `connect` that offers metrics at `SAGAS_METRICS`; None without the setting.

    One process can bind the address, and the workers count sagas: use the runtime in the worker. The address
    stays bound until the process ends.

    Raises:
        ConfigurationError: The address is malformed, or in use by another process.
    """
    return _create_runtime(settings.metrics) if settings.metrics else None


@lru_cache
def _create_runtime(address: str) -> Runtime:
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
            "for example 127.0.0.1:9464"
        ) from error
