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
CONFIRMATIONS = {
    CompensationState.UNDER_WAY: "confirmation {} under way",
    CompensationState.FAILING: "confirmation {} keeps failing",
    CompensationState.DONE: "confirmed by {}",
    CompensationState.COMPLETED_MANUALLY: "confirmed manually instead of by {}",
}
"""The words for a confirmation that has begun, with the place of the activity."""
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
