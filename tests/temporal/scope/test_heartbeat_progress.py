"""A long activity on a real server: the next attempt continues from the position of the lost attempt."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

from activities import Progress
from sagas import ActivityOptions, Saga, action

QUICK = ActivityOptions(
    start_to_close_timeout=timedelta(seconds=20),
    heartbeat_timeout=timedelta(seconds=1),
    retry_policy=RetryPolicy(
        maximum_attempts=3,
        initial_interval=timedelta(milliseconds=20),
        maximum_interval=timedelta(milliseconds=20),
    ),
)


class Letters(BaseModel):
    """The number of letters to send."""

    count: int


class Post:
    """Sends letters, and hangs once after the third letter."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.attempts = 0

    @activity.defn(name="send-letters")
    async def send(self, letters: Letters) -> int:
        self.attempts += 1
        progress = Progress(0)
        while progress.value < letters.count:
            self.sent.append(progress.value)
            progress.save(progress.value + 1)
            if progress.value == 3 and self.attempts == 1:
                await asyncio.Event().wait()
        return progress.value


SEND = action(Post.send, options=QUICK).irreversible()


@workflow.defn
class PostSaga:
    @workflow.run
    async def run(self, letters: Letters) -> int:
        async with Saga() as saga:
            return await saga.best_effort(SEND, letters) or 0


async def test_an_activity_continues_from_its_last_heartbeat(client: Client) -> None:
    """Each letter is sent once: the server had received the position of the first attempt."""
    post, task_queue = Post(), f"post-{uuid4().hex[:8]}"
    async with Worker(
        client,
        task_queue=task_queue,
        workflows=[PostSaga],
        activities=[post.send],
        default_heartbeat_throttle_interval=timedelta(milliseconds=50),
        max_heartbeat_throttle_interval=timedelta(milliseconds=50),
    ):
        sent = await client.execute_workflow(
            PostSaga.run, Letters(count=5), id=task_queue, task_queue=task_queue
        )

    assert (sent, post.attempts) == (5, 2)
    assert post.sent == [0, 1, 2, 3, 4]
