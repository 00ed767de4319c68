"""Options of the embedded Temporal server, and their translation to command-line flags."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

from .._configuration.loopback import LOOPBACK
from .._search_attributes import SEARCH_ATTRIBUTES

# Measured: a workflow of four activities takes 250 ms without the tuning and 30 ms with the tuning. The
# default server flushes every commit to the disk and polls for new tasks 20 times a second.
TUNED_PRAGMAS = {"journal_mode": "wal", "synchronous": "normal"}
TUNED_CONFIG: Mapping[str, str | int | bool] = {
    "history.transferProcessorMaxPollRPS": 2000,
    "history.timerProcessorMaxPollRPS": 2000,
    "history.visibilityProcessorMaxPollRPS": 200,
    # The default server rounds timers up to a second, which would delay every retry.
    "history.timerProcessorMaxTimeShift": "5ms",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalOptions:
    """Options of the embedded Temporal server.

    Args:
        port: The preferred port; a free port when in use, and 0 for any free port.
        ui_port: The preferred port of the Web UI, likewise.
        retention: How long closed workflows are kept; at least a day.
        search_attributes: Names and types of the search attributes to register.
        pragmas: Pragmas of SQLite.
        config: Dynamic configuration of the server by key; values are written as JSON.
    """

    port: int = 7233
    ui_port: int = 8233
    retention: timedelta = timedelta(days=90)
    search_attributes: Mapping[str, str] = field(default_factory=lambda: SEARCH_ATTRIBUTES)
    pragmas: Mapping[str, str] = field(default_factory=lambda: TUNED_PRAGMAS)
    config: Mapping[str, str | int | bool] = field(default_factory=lambda: TUNED_CONFIG)

    @classmethod
    def stock(cls) -> Self:
        """Creates options without any tuning, for measurements of the tuning."""
        return cls(pragmas={}, config={})

    @classmethod
    def for_tests(cls) -> Self:
        """Creates options for a server of a test session: free ports, and workflows that skip time."""
        config = {
            **TUNED_CONFIG,
            "frontend.WorkflowTimeSkippingEnabled": True,
            # Each test has its own task queue: four partitions of each would cost a fifth of the time.
            "matching.numTaskqueueReadPartitions": 1,
            "matching.numTaskqueueWritePartitions": 1,
        }
        return cls(port=0, ui_port=0, config=config)

    def flags(self, database: Path, *, port: int, ui_port: int) -> list[str]:
        """Translates the options to flags of `temporal server start-dev`."""
        flags = ["--db-filename", str(database), "--ip", LOOPBACK, "--port", str(port)]
        flags += ["--ui-port", str(ui_port), "--ui-disable-news-fetch", "--log-level", "warn"]
        for flag, pairs in (
            ("--search-attribute", self.search_attributes),
            ("--sqlite-pragma", self.pragmas),
            ("--dynamic-config-value", {key: json.dumps(value) for key, value in self.config.items()}),
        ):
            for key, value in pairs.items():
                flags += [flag, f"{key}={value}"]
        return flags
