"""The size limit of a workflow task: Temporal terminates workflows that send more than 4 MiB at once."""

from datetime import timedelta

from temporalio import workflow

LARGEST = 3 * 1024 * 1024
"""Bytes of payloads in one workflow task; the rest is left for summaries and other metadata."""
WRAPPING = 1024
"""The largest size of a command without the payload, in bytes: header, summary and names."""
NEXT_TASK = timedelta(milliseconds=1)


class TaskSizeLimit:
    """Counts the bytes sent by the current workflow task; a new history length marks a new task."""

    def __init__(self) -> None:
        self._task = 0
        self._sent = 0

    def add(self, size: int) -> None:
        """Counts a payload that is sent now."""
        self._sent = self._sent_now() + size + WRAPPING

    async def make_room(self, size: int) -> None:
        """Waits for a workflow task with room for the payload, and counts the payload.

        Raises:
            asyncio.CancelledError: The waiting task was cancelled; the payload is not counted.
        """
        while (sent := self._sent_now()) and sent + size + WRAPPING > LARGEST:
            await workflow.sleep(NEXT_TASK, summary="until the next task")
        self.add(size)

    def _sent_now(self) -> int:
        task = workflow.info().get_current_history_length()
        if task != self._task:
            self._task, self._sent = task, 0
        return self._sent
