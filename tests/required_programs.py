"""Programs that tests need: a missing one is a visible skip at home, and a failure in CI."""

import os
from collections.abc import Callable

import pytest

from workers import MissingProgramError


def require(find: Callable[[], object]) -> None:
    """Skips or fails the test where `find` says that its program is not installed."""
    try:
        find()
    except MissingProgramError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
