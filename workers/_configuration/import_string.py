"""Objects of the user's own, by the names that settings and options give them."""

import sys
from importlib import import_module

from temporalio.converter import DataConverter

from .._errors import ConfigurationError
from .settings import Settings


def load_named(name: str, example: str) -> object:
    """What `package.module:attribute` names, as seen from the current folder.

    Args:
        name: The name.
        example: How such a name is written.

    Raises:
        ConfigurationError: There is nothing of that name.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise ConfigurationError(f"{name!r} names nothing: write it as {example}")
    if "" not in sys.path:
        # A program that is installed does not see the folder that it is started in.
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
        raise ConfigurationError(f"module {module_name!r} has no {attribute!r}") from error
    return found


def load_converter(settings: Settings) -> DataConverter:
    """The data converter that the settings name, or else Temporal's; `SagaPlugin` adds what sagas need.

    Raises:
        ConfigurationError: The name is that of no data converter, nor of what makes one.
    """
    name = settings.data_converter
    if name is None:
        return DataConverter.default
    try:
        found = load_named(name, "shop.encryption:converter")
    except ConfigurationError as error:
        raise ConfigurationError(f"SAGAS_DATA_CONVERTER is {name!r}: {error}") from error
    if callable(found):
        try:
            found = found()
        except Exception as error:
            raise ConfigurationError(
                f"SAGAS_DATA_CONVERTER is {name!r}: it makes none, but {type(error).__name__}: {error}"
            ) from error
    if not isinstance(found, DataConverter):
        raise ConfigurationError(
            f"SAGAS_DATA_CONVERTER is {name!r}: that is no DataConverter, nor does it make one"
        )
    return found
