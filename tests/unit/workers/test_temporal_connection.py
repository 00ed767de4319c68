"""Which server sagas run on is decided by Temporal's own configuration first."""

import re
from pathlib import Path

import pytest

from workers import ConfigurationError, Settings, UnreachableServerError, connect, find_server

KEY = "a-very-secret-key"


def settings(folder: Path) -> Settings:
    return Settings(data_folder=folder)


def test_an_address_in_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say where sagas run."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "shop")

    found = find_server(settings(tmp_path))

    assert found is not None
    assert (found.address, found.namespace, found.is_embedded) == ("temporal.example:7233", "shop", False)


def test_a_profile_of_a_file_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """TEMPORAL_PROFILE picks a profile of the TOML file."""
    file = tmp_path / "temporal.toml"
    file.write_text(f'[profile.cloud]\naddress = "cloud.example:7233"\napi_key = "{KEY}"\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))
    monkeypatch.setenv("TEMPORAL_PROFILE", "cloud")

    found = find_server(settings(tmp_path))

    assert found is not None
    assert found.address == "cloud.example:7233"
    assert found.config.get("tls") is True, "an API key turns TLS on"
    assert KEY not in repr(found)


def test_where_nothing_is_configured_and_nothing_runs_there_is_no_server(tmp_path: Path) -> None:
    """Leftovers of a server that is gone are ignored."""
    (tmp_path / "temporal.json").write_text(
        '{"address":"127.0.0.1:1","ui_url":"http://x","pid":1,"owner_pid":1}'
    )
    (tmp_path / "temporal.lock").touch()

    assert find_server(settings(tmp_path)) is None


async def test_where_no_server_runs_the_error_says_what_to_type(tmp_path: Path) -> None:
    """The first thing that goes wrong for everybody is a server that was not started."""
    with pytest.raises(UnreachableServerError, match="sagas dev"):
        await connect(settings(tmp_path))


async def test_a_server_that_does_not_answer_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error names the address that was tried."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")

    with pytest.raises(UnreachableServerError, match=re.escape("'127.0.0.1:1' does not answer")):
        await connect(settings(tmp_path))


def test_an_api_key_is_not_sent_in_clear(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key without TLS is refused, except on loopback."""
    monkeypatch.setenv("TEMPORAL_API_KEY", KEY)
    monkeypatch.setenv("TEMPORAL_TLS", "false")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")

    with pytest.raises(ConfigurationError, match="in clear") as caught:
        find_server(settings(tmp_path))

    assert KEY not in str(caught.value)


@pytest.mark.parametrize("address", ["127.0.0.1:7233", "localhost:7233", "[::1]:7233"])
def test_an_api_key_may_travel_in_clear_on_loopback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    """A local proxy that adds TLS is a usual set-up."""
    monkeypatch.setenv("TEMPORAL_API_KEY", KEY)
    monkeypatch.setenv("TEMPORAL_TLS", "false")
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)

    assert find_server(settings(tmp_path)) is not None


def test_an_api_key_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody who sets a key means the server on their own machine."""
    monkeypatch.setenv("TEMPORAL_API_KEY", KEY)

    with pytest.raises(ConfigurationError, match="TEMPORAL_ADDRESS"):
        find_server(settings(tmp_path))


def test_an_unreadable_profile_is_told_without_its_content(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The parser quotes the broken line, which may be the one with the key: it must not come through."""
    file = tmp_path / "temporal.toml"
    file.write_text(f'[profile.default]\napi_key = "{KEY}\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))

    with pytest.raises(ConfigurationError, match="line 2") as caught:
        find_server(settings(tmp_path))

    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None, "a traceback would show what the parser said"


def test_an_unknown_profile_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A typing error in TEMPORAL_PROFILE does not fall back to another server."""
    monkeypatch.setenv("TEMPORAL_PROFILE", "produktion")

    with pytest.raises(ConfigurationError, match="produktion"):
        find_server(settings(tmp_path))


def test_a_missing_certificate_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file that cannot be read is in the sentence."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(tmp_path / "absent.pem"))

    with pytest.raises(ConfigurationError, match=re.escape("absent.pem")):
        find_server(settings(tmp_path))
