"""What must be known to call the activity of a step."""

from dataclasses import dataclass

from .._core.activity_policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What has to be known to call an activity: its type, its answer, and how patiently to try."""

    activity: str
    result: type[object] | None
    policy: Policy
    rejections: frozenset[str] = frozenset()
    task_queue: str | None = None
    probe: "Call | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """The names of the data that a step reads and writes, as its author says; nothing is run by it."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()


NO_DATA = Data()
