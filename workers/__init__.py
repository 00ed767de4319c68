"""Where sagas run: settings, connections, worker processes, embedded servers, the `sagas` command."""

from ._broker import BrokerTarget, find_broker
from ._connection import ServerTarget, connect, find_server
from ._errors import (
    ConfigurationError,
    FolderInUseError,
    MissingProgramError,
    ProcessError,
    UnreachableServerError,
)
from ._exit import run_main
from ._histories import Recording, Replayed, read_recordings, record_history, replay_recordings
from ._metrics import metrics_runtime
from ._ports import PortLease
from ._process import ChildProcess
from ._rabbitmq_node import BrokerAddress, EmbeddedRabbit, find_rabbitmq, find_running_broker
from ._search_attributes import register_search_attributes, require_search_attributes
from ._settings import Settings, load_settings
from ._telemetry import telemetry
from ._temporal_options import SEARCH_ATTRIBUTES, TUNED_CONFIG, TemporalOptions
from ._temporal_server import EmbeddedTemporal, ServerAddress, find_running_server, find_temporal
from ._worker import run_worker

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
