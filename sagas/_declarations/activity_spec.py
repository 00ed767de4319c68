"""What must be known to call the activity of a step."""

from dataclasses import dataclass

from .._core.activity_policy import ActivityPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivitySpec:
    """What has to be known to call an activity: its type, its answer, and how patiently to try."""

    activity: str
    result: type[object] | None
    policy: ActivityPolicy
    rejections: frozenset[str] = frozenset()
    task_queue: str | None = None
    probe: "ActivitySpec | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepData:
    """The names of the data that a step reads and writes, as its author says; nothing is run by it."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()


NO_STEP_DATA = StepData()
