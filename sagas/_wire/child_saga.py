"""The memos of child sagas and independent sagas, and the result of a child saga for the parent."""

from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import Field

from .._core.compensation import OnStuck, PendingConfirmation, PlanItem, SectionSpec
from .._core.lifecycle import ManualResolution
from .stored_model import StoredModel

CHILD_MEMO = "saga-child"
"""The memo of a child saga; the value is a `ChildMemo`."""
INDEPENDENT_MEMO = "saga-independent"
"""The memo of an independent saga; the value is an `IndependentMemo`."""
FOREIGN_WORK_MEMO = "saga-foreign-work"
"""The memo of a child that ran activities outside of the saga and then continued as new."""

ResultT = TypeVar("ResultT")


class ChildResult(StoredModel, Generic[ResultT]):
    """The result of a completed child saga, with the compensations for the parent.

    Args:
        result: The result of the child's run method.
        compensations: The pending compensations, in the order of execution.
        manual_resolutions: The manual resolutions, by address.
        confirmations: The pending confirmations, in the order of execution.
    """

    left_out = ("confirmations",)

    result: ResultT
    compensations: tuple[PlanItem, ...] = ()
    manual_resolutions: dict[str, ManualResolution] = Field(default_factory=dict[str, ManualResolution])
    confirmations: tuple[PendingConfirmation, ...] = ()


class ChildMemo(StoredModel):
    """The memo of a child saga.

    Args:
        parent_id: The workflow id of the parent.
        is_pivot: Whether the child is the pivot of the parent.
        parent_on_stuck: Whether older compensations of the parent run while a newer one keeps failing: in the
            history of a parent without steps, only the memos of its children have the choice.
        sections: The sections of the parent around the child, the outermost first.
        lost: For a pivot: the sections of the parent's lost alternatives, compensated in any case.
    """

    left_out = ("parent_on_stuck",)

    parent_id: str = ""
    is_pivot: bool = False
    parent_on_stuck: OnStuck = OnStuck.CONTINUE
    sections: tuple[SectionSpec, ...] = ()
    lost: tuple[str, ...] = ()


class IndependentMemo(StoredModel):
    """The memo of an independent saga.

    Args:
        parent_id: The workflow id of the saga that waits for the outcome.
    """

    parent_id: str = ""


def child_result_type(result: type[object]) -> type[ChildResult[Any]]:
    """The model `ChildResult` of a child whose run returns `result`."""
    try:
        return _cached(result)  # type: ignore[arg-type]  # mypy looks at the hash of an instance
    except TypeError:
        # Not every type is hashable: `Annotated` with a dictionary is not.
        return _specialized(result)


def _specialized(result: type[object]) -> type[ChildResult[Any]]:
    # The type is known at run time only, so no type checker can follow.
    return ChildResult.__class_getitem__(result)  # type: ignore[return-value]


# Without a reference, pydantic drops a specialized model, and specializing the model again takes a
# millisecond. The cache is small: a type from the workflow's module is a new type in each run, and keeps the
# module of the run in memory.
_cached = lru_cache(maxsize=32)(_specialized)
