"""The text of an error for histories, logs and operators: always readable, and without rejected values."""

from pydantic import ValidationError

from .._validation import without_values


def text_of(value: object) -> str:
    """Returns the text of a value as valid Unicode.

    A lone surrogate is replaced, because neither protobuf nor JSON can encode the character. A value whose
    `__str__` fails is named by its type.
    """
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - the `__str__` of foreign code may raise anything
        text = f"{type(value).__name__} without a readable text"
    # A subclass of `str` may have an `encode` of its own.
    return str.encode(text, errors="replace").decode()


def error_text(error: BaseException) -> str:
    """Returns the text of an error, like `text_of`; a failed validation without the rejected values."""
    return text_of(without_values(error) if isinstance(error, ValidationError) else error)
