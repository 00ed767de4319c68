"""The example worker, that kills itself once at a given point: `after:reserve-stock`, `before:task-5`.

A point is `before` or `after` an activity's call to its participant, or the n-th task of a workflow in this
process. The file that is named is made at the death, so that the next worker lives.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from temporalio import activity
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import (
    UnsandboxedWorkflowRunner,
    WorkerConfig,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)
from temporalio.workflow import _Definition

from activities import HttpParticipant
from examples.order.saga import OrderSaga
from examples.payment.saga import PaymentSaga
from examples.worker import OPERATIONS
from sagas import SagaPlugin
from workers import connect, load_settings, run_main, run_worker


class Death:
    """Comes at one point, once."""

    def __init__(self, point: str, note: Path) -> None:
        self._point, self._note = point, note
        self._tasks = 0

    def at(self, point: str) -> None:
        """Dies if this is the point, and nobody has died of it before."""
        if point == self._point and not self._note.exists():
            self._note.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def next_task(self) -> int:
        """Counts the workflow tasks of this process."""
        self._tasks += 1
        return self._tasks


class DyingRunner(WorkflowRunner):
    """Runs workflows as ever, with death before and after each task."""

    def __init__(self, death: Death) -> None:
        self._inner, self._death = UnsandboxedWorkflowRunner(), death

    def prepare_workflow(self, defn: _Definition) -> None:
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance, death = self._inner.create_instance(det), self._death
        activate = instance.activate

        def dying(act: WorkflowActivation) -> WorkflowActivationCompletion:
            if all(job.HasField("remove_from_cache") for job in act.jobs):
                return activate(act)
            task = death.next_task()
            death.at(f"before:task-{task}")
            completion = activate(act)
            death.at(f"after:task-{task}")
            return completion

        instance.activate = dying  # type: ignore[method-assign]  # every other method stays as it is
        return instance


def dying(call: Callable[..., object], death: Death) -> Callable[..., object]:
    """The same activity, with death before and after its call."""
    name = activity._Definition.must_from_callable(call).name
    inner: Callable[[object], Awaitable[object]] = call  # type: ignore[assignment]

    async def wrapped(message: Any) -> Any:
        death.at(f"before:{name}")
        result = await inner(message)
        death.at(f"after:{name}")
        return result

    wrapped.__annotations__ = call.__annotations__
    return activity.defn(name=name)(wrapped)


async def main(point: str, note: Path, task_queue: str, urls: dict[str, str]) -> None:
    client = await connect(load_settings(), plugins=[SagaPlugin()])
    death = Death(point, note)
    async with AsyncExitStack() as stack:
        participants = [
            await stack.enter_async_context(HttpParticipant(name, url)) for name, url in urls.items()
        ]
        calls = [call for each in participants for call in each.activities(OPERATIONS)]
        await run_worker(
            client,
            task_queue=task_queue,
            workflows=[OrderSaga, PaymentSaga],
            activities=[dying(call, death) for call in calls],
            options=WorkerConfig(workflow_runner=DyingRunner(death)),
        )


if __name__ == "__main__":
    _, point, note, task_queue, *participants = sys.argv
    run_main(main(point, Path(note), task_queue, dict(each.split("=", 1) for each in participants)))
