"""A version of temporalio that breaks sagas is refused before anything runs."""

import logging

import pytest

from workers import ConfigurationError
from workers._worker.temporalio_version import check_temporalio


@pytest.mark.parametrize("version", ["1.33.0", "1.34.2"])
def test_a_version_known_to_be_bad_is_refused(version: str) -> None:
    """The sentence says what to install instead."""
    with pytest.raises(ConfigurationError, match=r"pip install 'temporalio==1\.35\.\*'"):
        check_temporalio(version)


@pytest.mark.parametrize("version", ["1.32.0", "1.36.0rc1", "2.0.0"])
def test_an_untested_version_is_warned_about(version: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is stopped by a version that is merely new."""
    check_temporalio(version)

    assert f"temporalio {version} is untested" in caplog.text


def test_a_tested_version_is_taken_silently(caplog: pytest.LogCaptureFixture) -> None:
    """No noise where all is well."""
    with caplog.at_level(logging.DEBUG):
        check_temporalio("1.35.7")

    assert not caplog.records
