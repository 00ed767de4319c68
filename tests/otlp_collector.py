"""A minimal collector for the spans that OpenTelemetry's exporters send over HTTP."""

from collections.abc import Iterator

import pytest

from tests.http_server import RecordingServer, recording_server

OtlpCollector = RecordingServer


@pytest.fixture
def collector() -> Iterator[OtlpCollector]:
    with recording_server() as server:
        yield server
