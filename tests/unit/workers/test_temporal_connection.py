"""Temporal's own configuration decides first on which server sagas run."""

import re
from pathlib import Path

import pytest

from workers import ConfigurationError, Settings, UnreachableServerError, connect, find_temporal_server

KEY = "a-very-secret-key"


def settings(folder: Path) -> Settings:
    return Settings(data_folder=folder)


def test_environment_variables_name_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE are used."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "shop")

    found = find_temporal_server(settings(tmp_path))

    assert found is not None
    assert (found.address, found.namespace, found.is_embedded) == ("temporal.example:7233", "shop", False)


def test_a_profile_names_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TEMPORAL_PROFILE selects a profile of the TOML file."""
    file = tmp_path / "temporal.toml"
    file.write_text(f'[profile.cloud]\naddress = "cloud.example:7233"\napi_key = "{KEY}"\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    monkeypatch.setenv("TEMPORAL_PROFILE", "cloud")

    found = find_temporal_server(settings(tmp_path))

    assert found is not None
    assert found.address == "cloud.example:7233"
    assert found.config.get("tls") is True, "an API key turns TLS on"
    assert KEY not in repr(found)


def test_without_configuration_and_running_server_there_is_none(tmp_path: Path) -> None:
    """The files of an ended server are ignored."""
    (tmp_path / "temporal.json").write_text(
        '{"address":"127.0.0.1:1","ui_url":"http://x","pid":1,"owner_pid":1}'
    )
    (tmp_path / "temporal.lock").touch()

    assert find_temporal_server(settings(tmp_path)) is None


async def test_connect_without_a_server_names_the_command_to_start(tmp_path: Path) -> None:
    """The most frequent mistake is a server that was not started."""
    with pytest.raises(UnreachableServerError, match="sagas dev"):
        await connect(settings(tmp_path))


async def test_a_server_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error contains the address."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")

    with pytest.raises(UnreachableServerError, match=re.escape("'127.0.0.1:1' does not answer")):
        await connect(settings(tmp_path))


def test_an_api_key_is_not_sent_in_clear(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key without TLS is refused, except on the loopback interface."""
    monkeypatch.setenv("TEMPORAL_API_KEY", KEY)
    monkeypatch.setenv("TEMPORAL_TLS", "false")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")

    with pytest.raises(ConfigurationError, match="in clear") as caught:
        find_temporal_server(settings(tmp_path))

    assert KEY not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1:7233", "localhost:7233", "[::1]:7233"])
def test_an_api_key_may_be_sent_in_clear_on_loopback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    """A local proxy may add TLS."""
    monkeypatch.setenv("TEMPORAL_API_KEY", KEY)
    monkeypatch.setenv("TEMPORAL_TLS", "false")
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)

    assert find_temporal_server(settings(tmp_path)) is not None


def test_an_api_key_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The embedded server needs no key: an address was forgotten."""
    monkeypatch.setenv("TEMPORAL_API_KEY", KEY)

    with pytest.raises(ConfigurationError, match="TEMPORAL_ADDRESS"):
        find_temporal_server(settings(tmp_path))


def test_an_unreadable_profile_is_reported_without_its_content(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Temporal's parser quotes the malformed line, which may hold the key."""
    file = tmp_path / "temporal.toml"
    file.write_text(f'[profile.default]\napi_key = "{KEY}\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))

    with pytest.raises(ConfigurationError, match="line 2") as caught:
        find_temporal_server(settings(tmp_path))

    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None, "a traceback would show what the parser said"


def test_an_unknown_profile_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A misspelt TEMPORAL_PROFILE does not fall back to another server."""
    monkeypatch.setenv("TEMPORAL_PROFILE", "produktion")

    with pytest.raises(ConfigurationError, match="produktion"):
        find_temporal_server(settings(tmp_path))


def test_a_missing_certificate_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error contains the path."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(tmp_path / "absent.pem"))

    with pytest.raises(ConfigurationError, match=re.escape("absent.pem")):
        find_temporal_server(settings(tmp_path))
