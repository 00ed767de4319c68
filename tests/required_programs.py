"""Programs that tests require: a missing program is a skip at home, and a failure in CI."""

import os
from collections.abc import Callable

import pytest

from workers import MissingProgramError


def require_program(find: Callable[[], object]) -> None:
    """Skips or fails the test when `find` does not find its program."""
    try:
        find()
    except MissingProgramError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
