"""Where sagas run: settings, connections, worker processes, embedded servers, the `sagas` command."""

from ._cli.exit_codes import run_main
from ._configuration.settings import Settings, load_settings
from ._connections.rabbitmq import BrokerTarget, find_broker
from ._connections.temporal import ServerTarget, connect, find_server
from ._errors import (
    ConfigurationError,
    FolderInUseError,
    MissingProgramError,
    ProcessError,
    UnreachableServerError,
)
from ._histories.recording import (
    Recording,
    Replayed,
    read_recordings,
    record_history,
    replay_recordings,
)
from ._search_attributes import register_search_attributes, require_search_attributes
from ._servers.child_process import ChildProcess
from ._servers.port_lease import PortLease
from ._servers.rabbitmq_node import BrokerAddress, EmbeddedRabbit, find_rabbitmq, find_running_broker
from ._servers.temporal_options import SEARCH_ATTRIBUTES, TUNED_CONFIG, TemporalOptions
from ._servers.temporal_server import (
    EmbeddedTemporal,
    ServerAddress,
    find_running_server,
    find_temporal,
)
from ._telemetry.metrics import metrics_runtime
from ._telemetry.tracing import telemetry
from ._worker.worker import run_worker

__all__ = [
    "SEARCH_ATTRIBUTES",
    "TUNED_CONFIG",
    "BrokerAddress",
    "BrokerTarget",
    "ChildProcess",
    "ConfigurationError",
    "EmbeddedRabbit",
    "EmbeddedTemporal",
    "FolderInUseError",
    "MissingProgramError",
    "PortLease",
    "ProcessError",
    "Recording",
    "Replayed",
    "ServerAddress",
    "ServerTarget",
    "Settings",
    "TemporalOptions",
    "UnreachableServerError",
    "connect",
    "find_broker",
    "find_rabbitmq",
    "find_running_broker",
    "find_running_server",
    "find_server",
    "find_temporal",
    "load_settings",
    "metrics_runtime",
    "read_recordings",
    "record_history",
    "register_search_attributes",
    "replay_recordings",
    "require_search_attributes",
    "run_main",
    "run_worker",
    "telemetry",
]
