"""Names of steps, operations, participants, children and events."""

import re

from .._errors import DefinitionError

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


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
