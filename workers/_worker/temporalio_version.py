"""Which versions of temporalio are fit to run sagas."""

import logging

from .._errors import ConfigurationError

TESTED = (1, 35)
REFUSED = frozenset({(1, 33), (1, 34)})

logger = logging.getLogger(__name__)


def check_temporalio(version: str) -> None:
    """Refuses versions of temporalio that are known to break sagas, and warns about untested ones.

    Raises:
        ConfigurationError: The version is known to be bad; says what to install.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    wanted = ".".join(map(str, TESTED))
    if (major, minor) in REFUSED:
        raise ConfigurationError(
            f"temporalio {version} is known to break sagas; "
            f"install another one: pip install 'temporalio=={wanted}.*'"
        )
    if (major, minor) != TESTED:
        logger.warning("temporalio %s is untested with sagas; %s.x is tested", version, wanted)
