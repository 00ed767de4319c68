"""A choreographed saga's story, overheard: nobody tells it, so it is read in the services' databases."""

import asyncio
from collections.abc import AsyncIterator

from examples.demo.history_timeline import Line
from examples.stack.service_databases import Records, Step

LOOK = 0.05
"""Seconds between two looks."""

OUTCOMES = {"done": "done", "failed": "rejected", "compensated": "done", "fenced": "cancelled"}


class Overheard:
    """Reads one saga after the other in the databases of the services."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def lines(self, saga_id: str, ended: asyncio.Event) -> AsyncIterator[Line]:
        """Who heard what, and what came of it, as it happens, until somebody knows that it has ended."""
        told: set[object] = set()
        is_last = False
        while not is_last:
            is_last = ended.is_set()
            self._records.refresh()
            for at in sorted(self._moments(saga_id), key=lambda moment: moment[:2]):
                if at not in told:
                    told.add(at)
                    yield at[2]
            await asyncio.sleep(LOOK)

    def _moments(self, saga_id: str) -> list[tuple[int, int, Line]]:
        """What happened and when; what a service heard stands before what it did on it."""
        heard = [
            (each.at_ms, 0, Line(f"{each.service} hears: {_words(each.event)}", "heard"))
            for each in self._records.heard(saga_id)
        ]
        done = [(step.updated_ms, 1, _line(step)) for step in self._records.steps(saga_id).values()]
        # A step that was compensated had been done before, which its row does not say any more.
        before = [
            (step.created_ms, 1, Line(_words(step.action), "done", depth=1))
            for step in self._records.steps(saga_id).values()
            if step.state == "compensated"
        ]
        return heard + before + done


def _line(step: Step) -> Line:
    match step.state:
        case "compensated":
            return Line(f"compensate: {_words(step.action)}", "done", depth=1)
        case "fenced":
            return Line(_words(step.action), "cancelled", "void before it came", depth=1)
        case _:
            return Line(_words(step.action), OUTCOMES[step.state], depth=1)


def _words(name: str) -> str:
    return name.replace("-", " ")
