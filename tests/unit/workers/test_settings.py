"""Settings come from environment variables; an unusable value is refused with a readable message."""

from datetime import timedelta
from pathlib import Path

import pytest

from workers import ConfigurationError, load_settings


def test_every_setting_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first run needs no configuration."""
    monkeypatch.chdir(tmp_path)

    settings = load_settings()

    assert settings.data_folder == Path(".sagas")
    assert (settings.temporal_port, settings.ui_port) == (7233, 8233)
    assert settings.retention == timedelta(days=90)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30s", timedelta(seconds=30)),
        ("1.5m", timedelta(seconds=90)),
        ("2h", timedelta(hours=2)),
        ("P1D", timedelta(days=1)),
    ],
)
def test_durations_have_units(monkeypatch: pytest.MonkeyPatch, text: str, duration: timedelta) -> None:
    """Both short durations and ISO 8601 are parsed."""
    monkeypatch.setenv("SAGAS_GRACEFUL_SHUTDOWN", text)

    assert load_settings().graceful_shutdown == duration


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("SAGAS_TEMPORAL_PORT", "seven", "valid integer"),
        ("SAGAS_UI_PORT", "70000", "less than or equal to 65535"),
        ("SAGAS_AMQP_PORT", "0", "greater than or equal to 1"),
        ("SAGAS_RETENTION", "soon", "30s, 5m, 1h or 90d"),
        ("SAGAS_RETENTION", "5m", "must be at least 1d"),
        ("SAGAS_GRACEFUL_SHUTDOWN", "-P1D", "must be at least 0s"),
        ("SAGAS_TASK_QUEUE", "", "must not be empty"),
    ],
)
def test_an_unusable_value_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, advice: str
) -> None:
    """The sentence names the variable, the value and the rule."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    text = str(caught.value)
    assert f"{variable} is {value!r}" in text
    assert advice in text
    assert "\n" not in text


def test_all_unusable_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two mistakes need one run."""
    monkeypatch.setenv("SAGAS_UI_PORT", "x")
    monkeypatch.setenv("SAGAS_TEMPORAL_PORT", "y")

    with pytest.raises(ConfigurationError, match=r"SAGAS_TEMPORAL_PORT.*SAGAS_UI_PORT"):
        load_settings()


def test_the_data_folder_is_found_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in a subfolder of the project use the servers of the project; the nearest folder wins."""
    inner = tmp_path / "shop" / "orders"
    inner.mkdir(parents=True)
    (tmp_path / ".sagas").mkdir()
    (inner / ".sagas").write_text("a file is no data folder")
    monkeypatch.chdir(inner)

    assert load_settings().data_folder == tmp_path / ".sagas"
    (tmp_path / "shop" / ".sagas").mkdir()
    assert load_settings().data_folder == tmp_path / "shop" / ".sagas"
    (inner / ".sagas").unlink()
    (inner / ".sagas").mkdir()
    assert load_settings().data_folder == Path(".sagas")


def test_a_data_folder_of_another_user_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user could otherwise name the server that gets the data of sagas."""
    (tmp_path / "shop").mkdir()
    (tmp_path / ".sagas").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    monkeypatch.setattr("os.getuid", lambda: (tmp_path / ".sagas").stat().st_uid + 1)

    assert load_settings().data_folder == Path(".sagas")


def test_the_variable_precedes_a_found_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SAGAS_DATA_FOLDER is used as written."""
    (tmp_path / ".sagas").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAGAS_DATA_FOLDER", "elsewhere")

    assert load_settings().data_folder == Path("elsewhere")
