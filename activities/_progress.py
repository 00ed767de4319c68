"""The progress of a long activity, kept by heartbeats."""

from typing import Generic, TypeVar, cast, get_args

from pydantic import TypeAdapter, ValidationError
from temporalio import activity

from sagas import DefinitionError

T = TypeVar("T")


class Progress(Generic[T]):
    """The position of a long activity; a retry continues at the position that the previous attempt saved.

    Read `value` first, and call `save` after each part of the work::

        progress = Progress(0)
        for row in rows[progress.value :]:
            await send(row)
            progress.save(progress.value + 1)

    Saving is a heartbeat: the server learns that the worker is alive, and the activity learns of its
    cancellation. Heartbeats are sent at intervals of up to 80 % of the policy's `heartbeat`; after a crash,
    the parts since the last sent heartbeat are repeated, hence each part must be idempotent.

    Args:
        start: The position of the first attempt. The type of `start` is the type of every position, unless
            given in brackets, as in `Progress[str | None](None)`.

    Raises:
        DefinitionError: The policy of the step has no `heartbeat`: a crash would be noticed only at the
            attempt's timeout.
    """

    def __init__(self, start: T) -> None:
        info = activity.info()
        if not info.heartbeat_timeout:
            raise DefinitionError(
                f"activity {info.activity_type!r} saves progress: set `heartbeat` in the policy of its step"
            )
        self._value = start
        # Parsed by `value`: the type in brackets is not known before the end of the constructor.
        self._saved = tuple(info.heartbeat_details)

    @property
    def value(self) -> T:
        """The last saved position, of this attempt or an earlier attempt; the start when none was saved."""
        if self._saved:
            (saved, *_), self._saved = self._saved, ()
            try:
                self._value = self._adapter().validate_python(saved)
            except ValidationError:
                # Saved by another version of the activity, with positions of another type.
                activity.logger.warning(
                    "the saved progress is unreadable; the activity starts from the beginning"
                )
        return self._value

    def save(self, value: T) -> None:
        """Records that the work before position `value` is done.

        Raises:
            asyncio.CancelledError: At the next `await`, when the activity was cancelled.
        """
        self._value, self._saved = value, ()
        activity.heartbeat(value)

    def _adapter(self) -> TypeAdapter[T]:
        """Adapts to the type in brackets, else to the type of the start; None accepts every position."""
        (given,) = get_args(getattr(self, "__orig_class__", None)) or (None,)
        if given is not None and not isinstance(given, TypeVar):
            return TypeAdapter(given)
        kind = object if self._value is None else type(self._value)
        return cast("TypeAdapter[T]", TypeAdapter(kind))
