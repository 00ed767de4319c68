"""Temporal's sandbox for workflows: what it lets through for sagas, and how rarely it is entered."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from weakref import WeakMethod

from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

PASSED_THROUGH = ("sagas", "pydantic", "pydantic_core", "annotated_types", "httpx")


def with_sagas(existing: WorkflowRunner | None) -> WorkflowRunner:
    """The runner of a worker, such that sagas can be opened in its workflows; any other kind is kept."""
    runner = existing or SandboxedWorkflowRunner()
    if not isinstance(runner, SandboxedWorkflowRunner):
        return runner
    if type(runner) is SandboxedWorkflowRunner:
        runner = _Runner(runner.restrictions, runner.runner_class)
    return replace(runner, restrictions=runner.restrictions.with_passthrough_modules(*PASSED_THROUGH))


def once_each(ask: Callable[[object], object]) -> Callable[[object], object]:
    """The same method, whose answers are kept, and which keeps nothing else: an instance is large."""
    asked = WeakMethod(ask)

    # More than the commands of a task, and those whose answers come with the next one.
    @lru_cache(maxsize=256)
    def answer(command: object) -> object:
        method = asked()
        assert method is not None
        return method(command)

    return answer


@dataclass(frozen=True)
class _Runner(SandboxedWorkflowRunner):
    """Asks a workflow only once for what it answers always the same.

    Temporal asks for the context of every payload three times, or four, and enters the sandbox for each
    answer. The context is that of a command, which has it for good: the id of an activity or of a child.
    """

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        instance = super().create_instance(det)
        for question in ("get_serialization_context", "get_external_store_context"):
            # Nothing depends on these: a later Temporal may have no use for one of them.
            if (ask := getattr(instance, question, None)) is not None:
                setattr(instance, question, once_each(ask))
        return instance
