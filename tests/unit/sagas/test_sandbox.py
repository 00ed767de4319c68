"""What becomes of the workflow runner that a worker was given."""

import gc
from dataclasses import dataclass, field
from weakref import ref

import pytest
from temporalio.worker import UnsandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from sagas._temporal.sandbox import once_each, with_sagas


@dataclass(frozen=True)
class OwnSandbox(SandboxedWorkflowRunner):
    """A sandbox as a user may have made it."""

    name: str = "anonymous"


@pytest.mark.parametrize(
    "existing",
    [
        None,
        SandboxedWorkflowRunner(SandboxRestrictions.default.with_passthrough_modules("shop")),
        OwnSandbox(SandboxRestrictions.default.with_passthrough_modules("shop"), name="mine"),
    ],
    ids=["none", "with restrictions", "of its own kind"],
)
def test_sandbox_lets_sagas_through_and_stays_what_it_was(existing: SandboxedWorkflowRunner | None) -> None:
    """Its restrictions, the runner that it contains, and its kind."""
    runner = with_sagas(existing)

    assert isinstance(runner, SandboxedWorkflowRunner)
    passed_through = runner.restrictions.passthrough_modules
    assert {"sagas", "pydantic"} <= passed_through
    assert ("shop" in passed_through) is (existing is not None)
    assert runner.runner_class is UnsandboxedWorkflowRunner
    if isinstance(existing, OwnSandbox):
        assert isinstance(runner, OwnSandbox)
        assert runner.name == "mine"


def test_runner_without_sandbox_is_kept() -> None:
    """There is nothing to let through."""
    runner = UnsandboxedWorkflowRunner()

    assert with_sagas(runner) is runner


@dataclass(eq=False)
class UnawaitedCalls:
    """Answers, and counts what it was asked."""

    questions: list[object] = field(default_factory=list)

    def ask(self, question: object) -> str:
        """Answers."""
        self.questions.append(question)
        return f"to {question}"


def test_each_question_is_asked_once() -> None:
    """The context of a command is asked for with each of its payloads."""
    asked = UnawaitedCalls()
    ask = once_each(asked.ask)

    assert [ask("one"), ask("two"), ask("one")] == ["to one", "to two", "to one"]
    assert asked.questions == ["one", "two"]


def test_who_is_asked_is_not_kept() -> None:
    """A workflow that has left the worker's cache is gone, without a search for cycles."""
    asked = UnawaitedCalls()
    asked.ask = once_each(asked.ask)  # type: ignore[method-assign,assignment]
    asked.ask("one")
    there = ref(asked)
    gc.disable()
    try:
        del asked
        assert there() is None
    finally:
        gc.enable()
