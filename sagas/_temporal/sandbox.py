"""Temporal's sandbox for workflows: passes `sagas` through, and caches answers to save sandbox entries."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from weakref import WeakMethod

from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

PASSED_THROUGH = ("sagas", "pydantic", "pydantic_core", "annotated_types", "httpx")


def with_sagas(existing: WorkflowRunner | None) -> WorkflowRunner:
    """Passes `sagas` through the sandbox of a runner; other runners are returned unchanged."""
    runner = existing or SandboxedWorkflowRunner()
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    if type(runner) is SandboxedWorkflowRunner:
        runner = _Runner(runner.restrictions, runner.runner_class)
    return replace(runner, restrictions=runner.restrictions.with_passthrough_modules(*PASSED_THROUGH))


def once_each(ask: Callable[[object], object]) -> Callable[[object], object]:
    """Caches the answers of a method; holds the instance by a weak reference, because instances are large."""
    asked = WeakMethod(ask)

    # More entries than the commands of one task and of the next task, in which the results arrive.
    @lru_cache(maxsize=256)
    def answer(command: object) -> object:
        method = asked()
        assert method is not None
        return method(command)

    return answer


@dataclass(frozen=True)
class _Runner(SandboxedWorkflowRunner):
    """Caches the serialization contexts of a workflow's commands.

    Temporal asks for the context of every payload three or four times, and enters the sandbox each time. The
    context belongs to a command, and is constant: the id of an activity or of a child workflow.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        for question in ("get_serialization_context", "get_external_store_context"):
            # The cache is optional: a later version of Temporal may have dropped either method.
            if (ask := getattr(instance, question, None)) is not None:
                setattr(instance, question, once_each(ask))
        return instance
