"""What parent and child sagas exchange: the child's memo and the result that the child returns."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from .._core.compensation import PlanItem
from .operator_requests import ManualResolution

CHILD_MEMO = "saga"
"""The memo of a child saga; its value says whose it is, and whether it is its parent's pivot."""


UNACCOUNTED_MEMO = "saga-unaccounted"
"""The memo of a child that continued as new by itself, after what belongs to no saga."""


ResultT = TypeVar("ResultT")


class ChildResult(BaseModel, Generic[ResultT]):
    """What a child saga hands to its parent: its result, and what would make up for it, newest first."""

    model_config = ConfigDict(frozen=True)

    result: ResultT
    owed: tuple[PlanItem, ...] = ()
    by_hand: dict[str, ManualResolution] = {}


class ChildMemo(BaseModel):
    """What a child saga is told in its memo."""

    model_config = ConfigDict(frozen=True)

    child_of: str = ""
    is_pivot: bool = False
