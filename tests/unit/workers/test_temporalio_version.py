"""Versions of temporalio that break sagas are refused at the start of a worker."""

import logging

import pytest

from workers import ConfigurationError
from workers._worker.temporalio_version import check_temporalio


@pytest.mark.parametrize("version", ["1.33.0", "1.34.2"])
def test_a_version_that_breaks_sagas_is_refused(version: str) -> None:
    """The sentence names the version to install."""
    with pytest.raises(ConfigurationError, match=r"pip install 'temporalio==1\.35\.\*'"):
        check_temporalio(version)


@pytest.mark.parametrize("version", ["1.32.0", "1.36.0rc1", "2.0.0"])
def test_an_untested_version_is_logged_as_a_warning(version: str, caplog: pytest.LogCaptureFixture) -> None:
    """Newer versions are allowed."""
    check_temporalio(version)

    assert f"temporalio {version} is untested" in caplog.text


def test_a_tested_version_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """No message without a problem."""
    with caplog.at_level(logging.DEBUG):
        check_temporalio("1.35.7")

    assert not caplog.records
