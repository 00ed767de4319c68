"""Errors in a form that a Temporal failure can hold: a short chain of causes with valid texts and no secrets.

Temporal writes the text and the traceback of an error and of each cause into the history. A workflow whose
error cannot be written fails each workflow task, after the saga has compensated.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import cast

from pydantic import ValidationError
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError, CancelledError, FailureError

from .._validation import without_values
from .error_text import error_text, text_of

LONGEST_CHAIN = 20
"""The maximum number of errors in a chain; protobuf cannot read messages nested more than 100 deep."""
MOST_FRAMES = 200
"""The maximum number of frames of a traceback; a recursion without end has about 1,000."""
MOST_ERRORS = 1_000
"""The number of errors that are searched for rejected values."""

Encodes = Callable[[Sequence[object]], bool]
"""Whether the details of an error can be converted to payloads."""


def reportable(error: BaseException, encodes: Encodes | None = None) -> BaseException:
    """Returns the error if Temporal can report the error as it is, and otherwise a copy for the report.

    The copy has the same type and details on the wire. The chain of causes ends after `LONGEST_CHAIN` errors
    or where the chain repeats, tracebacks end after `MOST_FRAMES` frames, texts are valid Unicode, and failed
    validations have no rejected values.

    Args:
        error: The error of any code.
        encodes: Whether details can be sent; the copy has no other details. By default, details are kept.
    """
    links = _chain_of(error)
    if encodes is None and _has_end(links) and not _has_values(error) and all(map(_is_readable, links)):
        return error
    cause: BaseException | None = None
    for position, link in reversed(tuple(enumerate(links))):
        copy = _copy(link, LONGEST_CHAIN - position, encodes)
        # An assigned cause also hides the context.
        copy.__cause__ = cause
        cause = copy.with_traceback(first_frames(link.__traceback__))
    assert cause is not None
    return cause


def size_of_report(error: BaseException) -> int:
    """Returns the size of an error and of the causes in the report, in characters, without tracebacks."""
    size = 0
    for link in _chain_of(error):
        received = _received(link)
        details = link.details if isinstance(link, ApplicationError) else ()
        size += len(text_of(link)) + sum(len(text_of(detail)) for detail in details)
        size += received.ByteSize() if received is not None else 0
    return size


def first_frames(traceback: TracebackType | None, without: str = "") -> TracebackType | None:
    """Returns the first frames of a traceback.

    Args:
        traceback: The traceback.
        without: The beginning of the names of the modules whose frames are left out; no module by default.
    """
    frames: list[TracebackType] = []
    while traceback is not None and len(frames) < MOST_FRAMES:
        module = str(traceback.tb_frame.f_globals.get("__name__"))
        if not without or not module.startswith(without):
            frames.append(traceback)
        traceback = traceback.tb_next
    rest: TracebackType | None = None
    for frame in reversed(frames):
        rest = TracebackType(rest, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return rest


def _chain_of(error: BaseException) -> list[BaseException]:
    """Returns the error and the causes in the report, up to a repetition, at most `LONGEST_CHAIN`."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(links) < LONGEST_CHAIN and not any(link is each for each in links):
        links.append(link)
        link = _next(link)
    return links


def _next(link: BaseException) -> BaseException | None:
    """Returns the next error that Temporal reports; a received failure contains the causes."""
    return _shown_next(link) if _received(link) is None else None


def _shown_next(link: BaseException) -> BaseException | None:
    if link.__cause__ is not None or link.__suppress_context__:
        return link.__cause__
    return link.__context__


def _has_end(links: Sequence[BaseException]) -> bool:
    received = _received(links[-1])
    if received is not None:
        return _is_shallow(received, LONGEST_CHAIN - len(links) + 1)
    return _next(links[-1]) is None


def _is_shallow(failure: Failure, room: int) -> bool:
    while room > 0 and failure.HasField("cause"):
        failure, room = failure.cause, room - 1
    return room > 0


def _has_values(error: BaseException) -> bool:
    """Whether a log line or a failure of the error would quote the rejected values of a validation."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < MOST_ERRORS:
        link = waiting.pop()
        if id(link) in seen:
            continue
        if isinstance(link, ValidationError):
            return True
        seen.add(id(link))
        waiting += [each for each in (_shown_next(link), *_members_of(link)) if each is not None]
    return False


def _members_of(link: BaseException) -> tuple[BaseException, ...]:
    if not isinstance(link, BaseExceptionGroup):
        return ()
    return cast("BaseExceptionGroup[BaseException]", link).exceptions


def _is_readable(link: BaseException) -> bool:
    try:
        texts = [str(link)]
        if isinstance(link, FailureError):
            texts.append(link.message)
        if isinstance(link, ApplicationError):
            texts.append(link.type or "")
        for text in texts:
            str.encode(text)
    except Exception:  # noqa: BLE001 - the `__str__` of foreign code may raise anything
        return False
    return _frame_count(link.__traceback__) <= MOST_FRAMES


def _frame_count(traceback: TracebackType | None) -> int:
    count = 0
    while traceback is not None and count <= MOST_FRAMES:
        traceback, count = traceback.tb_next, count + 1
    return count


def _copy(link: BaseException, room: int, encodes: Encodes | None) -> BaseException:
    if isinstance(link, ValidationError):
        return without_values(link)
    if isinstance(link, FailureError):
        with suppress(AttributeError):
            return _copy_of_failure(link, room, encodes)
    return ApplicationError(error_text(link), type=text_of(type(link).__name__))


def _copy_of_failure(link: FailureError, room: int, encodes: Encodes | None) -> FailureError:
    message = text_of(link.message)
    if link.failure is not None:
        return FailureError(message, failure=_cut(link.failure, room))
    if isinstance(link, CancelledError):
        return CancelledError(message, *_details_of(link, encodes))
    if not isinstance(link, ApplicationError):
        return ApplicationError(message, type=text_of(type(link).__name__))
    return ApplicationError(
        message,
        *_details_of(link, encodes),
        type=link.type and text_of(link.type),
        non_retryable=link.non_retryable,
        next_retry_delay=link.next_retry_delay,
        category=link.category,
    )


def _received(link: BaseException) -> Failure | None:
    if isinstance(link, FailureError):
        # A subclass may leave out the constructor of the base class.
        with suppress(AttributeError):
            return link.failure
    return None


def _details_of(link: ApplicationError | CancelledError, encodes: Encodes | None) -> Sequence[object]:
    details: Sequence[object] = link.details
    return details if encodes is None or encodes(details) else ()


def _cut(failure: Failure, room: int) -> Failure:
    """Returns a copy of a failure with `room` failures at most."""
    copy = Failure()
    copy.CopyFrom(failure)
    last = copy
    for _ in range(room - 1):
        if not last.HasField("cause"):
            return copy
        last = last.cause
    last.ClearField("cause")
    return copy
