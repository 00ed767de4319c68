"""How the embedded Temporal server is run: the choices, and the flags that they become."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

from .port_lease import LOOPBACK

SEARCH_ATTRIBUTES = {"SagaStatus": "Keyword"}
"""What sagas tell about themselves in the list of workflows, and its type."""

# Measured: one saga-like workflow of four activities takes 250 ms without these and 30 ms with them. The
# stock server writes through to the disk on every commit and looks for new tasks 20 times a second.
TUNED_PRAGMAS = {"journal_mode": "wal", "synchronous": "normal"}
TUNED_CONFIG: Mapping[str, str | int | bool] = {
    "history.transferProcessorMaxPollRPS": 2000,
    "history.timerProcessorMaxPollRPS": 2000,
    "history.visibilityProcessorMaxPollRPS": 200,
    # The stock server rounds timers up to a second; with this, a retry comes when its policy says.
    "history.timerProcessorMaxTimeShift": "5ms",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporalOptions:
    """How the embedded Temporal server is run.

    Args:
        port: The port wished for; another one is taken where it is in use, and 0 is any free one.
        ui_port: The port wished for the Web UI, in the same way.
        retention: How long a closed workflow is kept; at least a day.
        search_attributes: Names and types of the search attributes to register.
        pragmas: How SQLite is opened.
        config: The server's dynamic configuration, by key; the values are written as JSON.
    """

    port: int = 7233
    ui_port: int = 8233
    retention: timedelta = timedelta(days=90)
    search_attributes: Mapping[str, str] = field(default_factory=lambda: SEARCH_ATTRIBUTES)
    pragmas: Mapping[str, str] = field(default_factory=lambda: TUNED_PRAGMAS)
    config: Mapping[str, str | int | bool] = field(default_factory=lambda: TUNED_CONFIG)

    @classmethod
    def stock(cls) -> Self:
        """The server as it comes, to measure what the tuning is worth."""
        return cls(pragmas={}, config={})

    def flags(self, database: Path, *, port: int, ui_port: int) -> list[str]:
        """The flags of `temporal server start-dev`."""
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
