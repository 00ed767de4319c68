"""Names of steps, operations, participants, children and events, and the keys of steps."""

import re

from .._errors import DefinitionError

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
STEP_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Short enough for idempotency keys of 200 characters, and without the signs that addresses are made of."""


def check_name(kind: str, name: object, hint: str = "such as 'reserve-stock'") -> None:
    """Refuses every name but words in lower case joined by dashes, as addresses and keys contain names.

    Args:
        kind: The kind of the named thing, such as `operation`.
        name: The name.
        hint: The end of the message.

    Raises:
        DefinitionError: The name is refused.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DefinitionError(
            f"the name of {kind} {name!r} must be words in lower case joined by dashes, {hint}"
        )


def check_step_key(step: str, key: object) -> None:
    """Refuses a step key that an address could not contain.

    Args:
        step: The name of the step.
        key: The key.

    Raises:
        DefinitionError: The key is not text of 1 to 64 letters, digits, `_`, `.` and `-`, beginning with a
            letter or digit.
    """
    if isinstance(key, str) and STEP_KEY.fullmatch(key):
        return
    # A key is the caller's data, and errors are stored unencrypted: only the fault of the key is reported.
    fault = f"an object of type {type(key).__name__}"
    if isinstance(key, str):
        wrong = next((each for each in key if not STEP_KEY.fullmatch(f"x{each}")), None)
        fault = f"{len(key)} characters" + (f" with {wrong!r}" if wrong else "")
    raise DefinitionError(
        f"the key of step {step!r} must be 1 to 64 letters, digits, '_', '.' or '-', and begin with a letter "
        f"or digit, not {fault}"
    )
