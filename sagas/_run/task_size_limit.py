"""The size limit of one workflow task: Temporal terminates workflows that send more than 4 MiB at once."""

from datetime import timedelta

from temporalio import workflow

LARGEST = 3 * 1024 * 1024
"""Bytes of payloads in one workflow task; summaries and other metadata have the rest."""
WRAPPING = 1024
"""Bytes beside the payload of one command, at most: header, summary and names."""
NEXT_TASK = timedelta(milliseconds=1)


class TaskSizeLimit:
    """Counts the bytes that the current workflow task has sent; the history's length tells tasks apart."""

    def __init__(self) -> None:
        self._task = 0
        self._sent = 0

    def add(self, size: int) -> None:
        """Counts a payload that is sent now."""
        self._sent = self._sent_now() + size + WRAPPING

    async def make_room(self, size: int) -> None:
        """Waits for a workflow task with room for the payload, and counts the payload.

        Raises:
            asyncio.CancelledError: The waiting task was cancelled; nothing is counted.
        """
        while (sent := self._sent_now()) and sent + size + WRAPPING > LARGEST:
            await workflow.sleep(NEXT_TASK, summary="until the next task")
        self.add(size)

    def _sent_now(self) -> int:
        task = workflow.info().get_current_history_length()
        if task != self._task:
            self._task, self._sent = task, 0
        return self._sent
