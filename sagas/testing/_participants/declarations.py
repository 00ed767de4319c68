"""The workflows and the result types that a saga's module and the modules of the children declare."""

import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, cast

from temporalio.activity import _Definition as ActivityDefinition  # pyright: ignore[reportPrivateUsage]
from temporalio.workflow import _Definition as WorkflowDefinition  # pyright: ignore[reportPrivateUsage]

from ..._declarations.activity_function import ActivityFunction
from ..._declarations.operation import Operation
from ..._declarations.step import Action, Step


class Declarations:
    """The declarations that a saga can name: steps, operations, activities and workflow classes.

    Args:
        run: The run method of the saga.
        workflows: Further workflow classes.
        steps: Further steps.
    """

    def __init__(
        self, run: Callable[..., Awaitable[object]], workflows: Iterable[type], steps: Iterable[object] = ()
    ) -> None:
        self.workflows: list[type] = []
        self.result_types: dict[str, object] = {}
        self.read_only_activities = set[str]()
        for workflow in (WorkflowDefinition.must_from_run_fn(run).cls, *workflows):
            self._add_workflow(workflow)
        for step in steps:
            self._add(step)

    def _add_workflow(self, workflow: type) -> None:
        if workflow in self.workflows:
            return
        self.workflows.append(workflow)
        for value in _values(vars(sys.modules[workflow.__module__])):
            self._add(value)

    def _add(self, value: object) -> None:
        if isinstance(value, Step | Action):
            self.result_types[value.call.activity] = value.call.result
            if isinstance(value, Step) and value.is_read_only:
                self.read_only_activities.add(value.call.activity)
        elif isinstance(value, Operation):
            operation = cast("Operation[Any, object]", value)
            self.result_types[operation.name] = operation.result
        elif isinstance(value, type):
            if WorkflowDefinition.from_class(value) is not None:
                self._add_workflow(value)
        elif callable(value) and _is_named_activity(value):
            function = ActivityFunction.of(value)
            self.result_types[function.activity] = function.result


def _values(names: Mapping[str, object]) -> Iterator[object]:
    """The values of a module, of the modules and of the collections that the module names."""
    for value in list(names.values()):
        yield value
        if isinstance(value, ModuleType):
            yield from list(vars(value).values())
        elif isinstance(value, dict):
            yield from cast("dict[object, object]", value).values()
        elif isinstance(value, list | tuple | set | frozenset):
            yield from cast("Iterable[object]", value)


def _is_named_activity(function: Callable[..., object]) -> bool:
    # Temporal types decorated functions loosely.
    definition = ActivityDefinition.from_callable(function)  # pyright: ignore[reportUnknownMemberType]
    return definition is not None and definition.name is not None
