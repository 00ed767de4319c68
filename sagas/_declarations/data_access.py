"""The data that a step reads and writes."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from .option_checks import check_names


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAccess:
    """The names of the data that a step reads and writes; information for people and tools.

    Args:
        reads: The names of the data that the step reads.
        writes: The names of the data that the step writes.

    Raises:
        DefinitionError: `reads` or `writes` is not a set of names.
    """

    reads: AbstractSet[str] = frozenset()
    writes: AbstractSet[str] = frozenset()

    def __post_init__(self) -> None:
        for option in ("reads", "writes"):
            # Steps are hashable, and a mutable set is not.
            object.__setattr__(self, option, check_names(option, getattr(self, option)))
