"""The timeline of a choreographed saga, merged from the databases of all services."""

import asyncio
from collections.abc import AsyncIterator

from examples.stack.service_databases import ServiceDatabases, Step

from .timeline import TimelineEntry

POLL_SECONDS = 0.05

OUTCOMES = {"done": "done", "rejected": "rejected", "compensated": "done", "voided": "cancelled"}


class DatabaseTimeline:
    """Reads timelines from the databases of the services."""

    def __init__(self, databases: ServiceDatabases) -> None:
        self._databases = databases

    async def entries(self, saga_id: str, ended: asyncio.Event) -> AsyncIterator[TimelineEntry]:
        """Yields the consumed events and the steps of a running saga, until `ended` is set."""
        seen: set[object] = set()
        is_last = False
        while not is_last:
            is_last = ended.is_set()
            self._databases.refresh()
            for timed in sorted(self._timed_entries(saga_id), key=lambda timed: timed[:2]):
                if timed not in seen:
                    seen.add(timed)
                    yield timed[2]
            await asyncio.sleep(POLL_SECONDS)

    async def failure_reason(self, saga_id: str) -> str:
        """Returns "": no service records why a whole saga was compensated."""
        del saga_id
        return ""

    def _timed_entries(self, saga_id: str) -> list[tuple[int, int, TimelineEntry]]:
        """Returns the entries with their time; a consumed event precedes the resulting steps."""
        steps = self._databases.steps(saga_id).values()
        consumed = [
            (each.at_ms, 0, TimelineEntry(f"{each.service} consumes: {_words(each.event)}", "consumed"))
            for each in self._databases.consumed_events(saga_id)
        ]
        current = [(step.updated_ms, 1, _entry(step)) for step in steps]
        # A compensated step was done before; the row no longer shows the time before.
        done_before = [
            (step.created_ms, 1, TimelineEntry(_words(step.action), "done", depth=1))
            for step in steps
            if step.state == "compensated"
        ]
        return consumed + done_before + current


def _entry(step: Step) -> TimelineEntry:
    match step.state:
        case "compensated":
            return TimelineEntry(f"compensated: {_words(step.action)}", "done", depth=1)
        case "voided":
            return TimelineEntry(
                _words(step.action), "cancelled", "voided before the action arrived", depth=1
            )
        case _:
            return TimelineEntry(_words(step.action), OUTCOMES[step.state], depth=1)


def _words(name: str) -> str:
    return name.replace("-", " ")
