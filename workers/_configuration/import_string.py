"""Importing an object by a string such as `examples.order.saga:OrderSaga`."""

import sys
from importlib import import_module

from .._errors import ConfigurationError


def import_string(path: str, *, example: str) -> object:
    """Imports the object that `package.module:attribute` names; the current folder is importable.

    Args:
        path: The import string.
        example: A valid import string, for the error message.

    Raises:
        ConfigurationError: The string is malformed, the import fails, or the module lacks the attribute.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise ConfigurationError(
            f"{path!r} is not an import string: write MODULE:NAME, for example {example}"
        )
    if "" not in sys.path:
        # The `sagas` script, unlike `python -m`, does not put the current folder on the import path.
        sys.path.insert(0, "")
    try:
        module = import_module(module_name)
    except Exception as error:
        raise ConfigurationError(
            f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    try:
        found: object = getattr(module, attribute)
    except AttributeError as error:
        raise ConfigurationError(f"module {module_name!r} has no attribute {attribute!r}") from error
    return found
