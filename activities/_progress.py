"""How far a long activity has come, kept by its heartbeats."""

from typing import Any, Generic, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from temporalio import activity

from sagas import DefinitionError

T = TypeVar("T")


class Progress(Generic[T]):
    """Where a long activity is; another attempt goes on where this one stopped.

    Read `value` first, and call `save` after each part of the work::

        progress = Progress(0)
        for row in rows[progress.value :]:
            await send(row)
            progress.save(progress.value + 1)

    Saving is a heartbeat, so it also tells the server that the worker is alive, and lets a cancel reach the
    activity. Heartbeats are sent at intervals of up to 80 % of the policy's `heartbeat`: what was done since
    the last one that arrived is done again after a crash, so each part must be idempotent.

    Args:
        start: Where the first attempt begins. Its type is that of every position, unless another one is
            given, as in `Progress[str | None](None)`.

    Raises:
        DefinitionError: The step's policy has no `heartbeat`: a crash would be noticed only at `timeout`.
    """

    def __init__(self, start: T) -> None:
        info = activity.info()
        if not info.heartbeat_timeout:
            raise DefinitionError(
                f"activity {info.activity_type!r} saves its progress: give its policy a `heartbeat`"
            )
        self._value = start
        # Read when it is asked for: a type in brackets is not known before the constructor is through.
        self._saved = tuple(info.heartbeat_details)

    @property
    def value(self) -> T:
        """The position that was saved last, by this attempt or an earlier one."""
        if self._saved:
            (saved, *_), self._saved = self._saved, ()
            try:
                self._value = TypeAdapter(self._kind()).validate_python(saved)
            except ValidationError:
                # An attempt of another version has saved it in its own way.
                activity.logger.warning("the saved progress cannot be read, so the work begins again")
        return self._value

    def save(self, value: T) -> None:
        """Notes that everything before `value` is done.

        Raises:
            asyncio.CancelledError: At the next `await`, if the step was cancelled.
        """
        self._value, self._saved = value, ()
        activity.heartbeat(value)

    def _kind(self) -> Any:
        """The type in brackets, or else that of the start; `None` says nothing of what comes later."""
        (given,) = get_args(getattr(self, "__orig_class__", None)) or (None,)
        if given is not None and not isinstance(given, TypeVar):
            return given
        return Any if self._value is None else self._value.__class__
