"""The timeline of a saga: a printed line per event of interest."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

MARKS = {"done": "✓", "rejected": "✗", "unknown": "?", "cancelled": "-"}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """An event of a saga.

    Args:
        text: The step, or another description of the event.
        outcome: `done`, `rejected`, `unknown` or `cancelled` for a step; other events have other words.
        reason: The reason of a failed step.
        depth: The indentation: 1 for the steps of a child saga, or of a service.
    """

    text: str
    outcome: str
    reason: str = ""
    depth: int = 0

    def __str__(self) -> str:
        reason = f"  ({self.reason})" if self.reason else ""
        return f"{'  ' * self.depth}{MARKS.get(self.outcome, '·')} {self.text}{reason}"


class Timeline(Protocol):
    """Reads the timelines of sagas of a style."""

    def entries(self, saga_id: str, ended: asyncio.Event) -> AsyncIterator[TimelineEntry]:
        """Yields the entries of a running saga; `ended` is set at the end of the saga."""
        ...

    async def failure_reason(self, saga_id: str) -> str:
        """Returns the reason of a compensated saga, or "" in a style without recorded reasons."""
        ...
