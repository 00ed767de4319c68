"""The data converter that SAGAS_DATA_CONVERTER names."""

from temporalio.converter import DataConverter

from .._errors import ConfigurationError
from .import_string import import_string
from .settings import Settings


def load_data_converter(settings: Settings) -> DataConverter:
    """Imports the data converter that the settings name, by default Temporal's own.

    Raises:
        ConfigurationError: The import fails, or the object is neither a data converter nor a callable that
            returns a data converter.
    """
    name = settings.data_converter
    if name is None:
        return DataConverter.default
    try:
        found = import_string(name, example="shop.encryption:converter")
    except ConfigurationError as error:
        raise ConfigurationError(f"SAGAS_DATA_CONVERTER is {name!r}: {error}") from error
    if callable(found):
        try:
            found = found()
        except Exception as error:
            raise ConfigurationError(
                f"SAGAS_DATA_CONVERTER is {name!r}: calling {name!r} raised {type(error).__name__}: {error}"
            ) from error
    if not isinstance(found, DataConverter):
        raise ConfigurationError(
            f"SAGAS_DATA_CONVERTER is {name!r}: neither a DataConverter nor a callable that returns a "
            f"DataConverter, but {type(found).__name__}"
        )
    return found
