"""Where sagas run: settings, connections, worker processes, embedded servers, and the `sagas` command."""

from ._cli.exit_codes import run_main
from ._configuration.settings import Settings, load_settings
from ._connections.rabbitmq import find_rabbitmq_broker
from ._connections.temporal import connect, find_temporal_server
from ._errors import (
    ConfigurationError,
    DataFolderInUseError,
    MissingProgramError,
    ProcessError,
    UnreachableServerError,
)
from ._histories.recording import read_recordings
from ._histories.replay import replay_recordings
from ._servers.child_process import ChildProcess
from ._servers.port_lease import PortLease
from ._servers.rabbitmq_node import EmbeddedRabbitMQ, find_rabbitmq_program
from ._servers.temporal_options import TemporalOptions
from ._servers.temporal_server import EmbeddedTemporal
from ._telemetry.metrics import metrics_runtime
from ._telemetry.tracing import telemetry
from ._worker.worker import run_worker

__all__ = [
    "ChildProcess",
    "ConfigurationError",
    "DataFolderInUseError",
    "EmbeddedRabbitMQ",
    "EmbeddedTemporal",
    "MissingProgramError",
    "PortLease",
    "ProcessError",
    "Settings",
    "TemporalOptions",
    "UnreachableServerError",
    "connect",
    "find_rabbitmq_broker",
    "find_rabbitmq_program",
    "find_temporal_server",
    "load_settings",
    "metrics_runtime",
    "read_recordings",
    "replay_recordings",
    "run_main",
    "run_worker",
    "telemetry",
]
