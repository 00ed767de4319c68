"""A circuit breaker: a participant that keeps failing is not called for a while."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import cast

from sagas import DefinitionError

logger = logging.getLogger("activities")

LONGEST_BREAK = timedelta(hours=1)
TRIAL_INTERVAL = timedelta(seconds=1)
"""The wait of the other calls while the trial call is under way."""


class Admission(Enum):
    """The permission for one call."""

    ORDINARY = "ordinary"
    TRIAL = "trial"


class _State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class CircuitBreaker:
    """Opens after consecutive failures of a participant, and later lets a single trial call through.

    A failure is a lost connection, a timeout, or one of the statuses 408, 429 and 5xx. Every other response
    shows that the participant works, refusals included, and ends the series of failures. While the circuit is
    open, an activity fails without a call, and Temporal attempts the activity again when the circuit may
    close. Then one call is the trial: a response closes the circuit, and a failure opens the circuit again.

    The state belongs to one participant in one worker process. Counting consecutive failures is the rule of
    Nygard's *Release It!*; the defaults are those of the library `purgatory`.

    Args:
        failures: The number of consecutive failures that opens the circuit.
        open_for: The time without calls; at most an hour.
        clock: Seconds of a monotonic clock.

    Raises:
        DefinitionError: An argument is outside of its range.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        open_for: timedelta = timedelta(seconds=30),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(failures, bool) or not isinstance(cast("object", failures), int) or failures < 1:
            raise DefinitionError(f"`failures` must be an int of at least 1, not {failures!r}")
        is_duration = isinstance(cast("object", open_for), timedelta)
        if not is_duration or not timedelta(0) < open_for <= LONGEST_BREAK:
            raise DefinitionError(
                f"`open_for` must be a timedelta above 0 and at most an hour, not {open_for}"
            )
        self._limit, self._open_for, self._clock = failures, open_for, clock
        self._state, self._failures, self._opened_at = _State.CLOSED, 0, 0.0

    def admit(self) -> Admission | timedelta:
        """Permits one call, or returns the time until the next try.

        The caller passes the permission to `record` when the call has ended.
        """
        if self._state is _State.CLOSED:
            return Admission.ORDINARY
        if self._state is _State.HALF_OPEN:
            return TRIAL_INTERVAL
        remaining = self._opened_at + self._open_for.total_seconds() - self._clock()
        if remaining > 0:
            return timedelta(seconds=remaining)
        self._state = _State.HALF_OPEN
        return Admission.TRIAL

    def record(self, admission: Admission, participant: str, *, has_failed: bool | None) -> None:
        """Records the end of a call; `None` for a call without an outcome, such as a cancelled call."""
        if has_failed is None:
            if admission is Admission.TRIAL:
                # Another call becomes the trial.
                self._state = _State.OPEN
        elif admission is Admission.ORDINARY and self._state is not _State.CLOSED:
            # A call that began before the opening says less than the failures that followed.
            return
        elif has_failed:
            self._fail(admission, participant)
        else:
            if admission is Admission.TRIAL:
                logger.info("the circuit of participant %r is closed: a trial call was answered", participant)
            self._state, self._failures = _State.CLOSED, 0

    def _fail(self, admission: Admission, participant: str) -> None:
        self._failures += 1
        if admission is Admission.TRIAL or self._failures >= self._limit:
            self._state, self._opened_at = _State.OPEN, self._clock()
            logger.warning(
                "the circuit of participant %r is open for %s: %d calls in a row have failed",
                participant,
                self._open_for,
                self._failures,
            )
