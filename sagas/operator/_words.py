"""The words for outcomes and states in the text and in the diagram of a saga."""

from .._core.lifecycle import ManualResolution
from .._core.outcome import Outcome
from .._history.timeline import CompensationState

OUTCOMES = {
    Outcome.STARTED: "under way",
    Outcome.DONE: "done",
    Outcome.REJECTED: "REJECTED",
    Outcome.UNKNOWN: "UNKNOWN",
    Outcome.WITHDRAWN: "withdrawn",
}
RESOLUTIONS: dict[ManualResolution, str] = {"completed-manually": "completed", "skipped": "skipped"}
STATES = {
    CompensationState.PENDING: "pending",
    CompensationState.WAITING: "waiting",
    CompensationState.OF_PARENT: "by parent",
    CompensationState.UNDER_WAY: "under way",
    CompensationState.PAUSED: "PAUSED",
    CompensationState.FAILING: "failing",
    CompensationState.DONE: "done",
    CompensationState.COMPLETED_MANUALLY: "completed",
    CompensationState.SKIPPED: "skipped",
}
