"""The versions of temporalio on which sagas can run."""

import logging

from .._errors import ConfigurationError

TESTED = (1, 35)
REFUSED = frozenset({(1, 33), (1, 34)})

logger = logging.getLogger(__name__)


def check_temporalio(version: str) -> None:
    """Refuses versions of temporalio that break sagas, and logs a warning for untested versions.

    Raises:
        ConfigurationError: The version breaks sagas; the message names a version to install.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    tested = ".".join(map(str, TESTED))
    if (major, minor) in REFUSED:
        raise ConfigurationError(
            f"temporalio {version} is known to break sagas; "
            f"install a tested version: pip install 'temporalio=={tested}.*'"
        )
    if (major, minor) != TESTED:
        logger.warning("temporalio %s is untested with sagas; tested: %s.*", version, tested)
