"""The workflow runner of a worker: sandboxes let sagas through, and other runners are kept."""

import gc
from dataclasses import dataclass, field
from weakref import ref

import pytest
from temporalio.worker import UnsandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from sagas._temporal.sandbox import once_each, with_sagas


@dataclass(frozen=True)
class OwnSandbox(SandboxedWorkflowRunner):
    """A sandbox class of a user."""

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
def test_sandbox_lets_sagas_through_and_keeps_the_rest(existing: SandboxedWorkflowRunner | None) -> None:
    """Restrictions, the inner runner and the class are kept."""
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
    """A runner without a sandbox has nothing to let through."""
    runner = UnsandboxedWorkflowRunner()

    assert with_sagas(runner) is runner


@dataclass(eq=False)
class CountedAnswers:
    """Answers questions, and counts the questions."""

    questions: list[object] = field(default_factory=list)

    def ask(self, question: object) -> str:
        """Answers a question."""
        self.questions.append(question)
        return f"to {question}"


def test_each_question_is_asked_once() -> None:
    """Each payload of a command needs the same context."""
    asked = CountedAnswers()
    ask = once_each(asked.ask)

    assert [ask("one"), ask("two"), ask("one")] == ["to one", "to two", "to one"]
    assert asked.questions == ["one", "two"]


def test_the_callee_is_not_kept() -> None:
    """A workflow evicted from the cache is freed without a search for reference cycles."""
    asked = CountedAnswers()
    asked.ask = once_each(asked.ask)  # type: ignore[method-assign,assignment]
    asked.ask("one")
    there = ref(asked)
    gc.disable()
    try:
        del asked
        assert there() is None
    finally:
        gc.enable()
