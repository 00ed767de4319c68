"""How much a workflow sends in one task; Temporal takes 4 MiB at once, and terminates who sends more."""

from datetime import timedelta

from temporalio import workflow

LARGEST = 3 * 1024 * 1024
"""Bytes in one workflow task: what is sent beside messages, such as summaries, has the rest."""
WRAPPING = 1024
"""Bytes beside the message, at most: header, summary and names."""
A_MOMENT = timedelta(milliseconds=1)


class TaskSizeLimit:
    """Counts what the workflow task that runs now has sent; the history's length tells one from the next."""

    def __init__(self) -> None:
        self._task = 0
        self._sent = 0

    def add(self, size: int) -> None:
        """Counts something that is sent now."""
        self._sent = self._sent_now() + size + WRAPPING

    async def make_room(self, size: int) -> None:
        """Waits for a workflow task that can send it as well, and counts it; a message that fits waits not.

        Raises:
            asyncio.CancelledError: Whoever waits was cancelled; nothing is counted.
        """
        while (sent := self._sent_now()) and sent + size + WRAPPING > LARGEST:
            await workflow.sleep(A_MOMENT, summary="until the next task")
        self.add(size)

    def _sent_now(self) -> int:
        task = workflow.info().get_current_history_length()
        if task != self._task:
            self._task, self._sent = task, 0
        return self._sent
