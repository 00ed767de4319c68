"""The configured broker precedes the embedded node, and no output shows the password."""

import traceback
from pathlib import Path

import pytest

from workers import (
    ConfigurationError,
    EmbeddedRabbitMQ,
    MissingProgramError,
    ProcessError,
    Settings,
    find_rabbitmq_broker,
    find_rabbitmq_program,
    load_settings,
)
from workers._cli.dev_command import create_broker
from workers._servers.rabbitmq_files import NodeFiles, NodePorts

SECRET = "top-secret"


def test_without_url_and_node_there_is_no_broker(tmp_path: Path) -> None:
    """The result is None, and no folder is created."""
    assert find_rabbitmq_broker(Settings(data_folder=tmp_path / "data")) is None
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (f"amqp://shop:{SECRET}@broker.example", "amqp://shop@broker.example"),
        (f"amqps://shop:{SECRET}@broker.example:5671/shop", "amqps://shop@broker.example:5671/shop"),
        (f"amqp://shop:{SECRET}@[::1]:5672/?password={SECRET}", "amqp://shop@[::1]:5672/"),
        (f"amqp://shop:%40{SECRET}@localhost/%2F", "amqp://shop@localhost/%2F"),
        ("amqp://127.0.0.1/", "amqp://127.0.0.1/"),
        (f"amqp://guest:{SECRET}@localhost", "amqp://guest@localhost"),
        ("amqps://broker.example/?auth=EXTERNAL&certfile=me.pem", "amqps://broker.example/"),
    ],
)
def test_a_configured_broker_is_shown_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, address: str
) -> None:
    """Only `url` contains the password."""
    monkeypatch.setenv("SAGAS_AMQP_URL", url)
    settings = load_settings()
    found = find_rabbitmq_broker(settings)

    assert found is not None
    assert (found.url, found.address, found.is_embedded) == (url, address, False)
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()} {found!r} {found}"


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        (f"http://shop:{SECRET}@broker.example", "amqps:// for TLS"),
        (f"shop:{SECRET}@broker.example", "amqps:// for TLS"),
        (f"amqp://shop:{SECRET}@", "amqps:// for TLS"),
        (f"amqp://shop:{SECRET}@broker.example:port", "amqps:// for TLS"),
        (f"amqp://shop:{SECRET}/x@broker.example", "amqps:// for TLS"),
        (f"amqp://shop:[{SECRET}@broker.example", "amqps:// for TLS"),
        ("", "amqps:// for TLS"),
        (
            f"amqp://guest:{SECRET}@broker.example",
            "from its own machine only, and the URL names host 'broker.example'",
        ),
        ("amqps://broker.example/", "accepts the user 'guest' from its own machine only"),
        (f"amqp://guest:{SECRET}@0.0.0.0", "from its own machine only"),
    ],
)
def test_an_unusable_url_is_refused_without_repeating_the_url(
    monkeypatch: pytest.MonkeyPatch, url: str, advice: str
) -> None:
    """The sentence shows the valid form; neither the error nor its cause contains the password."""
    monkeypatch.setenv("SAGAS_AMQP_URL", url)

    with pytest.raises(ConfigurationError) as caught:
        load_settings()

    text = str(caught.value)
    assert text.startswith("SAGAS_AMQP_URL is unusable: ")
    assert advice in text
    assert "\n" not in text
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_missing_rabbitmq_is_reported_with_the_command_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Debian's wrapper on the PATH does not count, because only root can run the wrapper."""
    wrapper = tmp_path / "rabbitmq-script-wrapper"
    wrapper.touch(mode=0o755)
    (tmp_path / "rabbitmq-server").symlink_to(wrapper)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingProgramError, match="install it with: sudo apt-get install rabbitmq-server"):
        find_rabbitmq_program(package_folders=())


def test_sagas_dev_continues_without_rabbitmq(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Orchestration needs no broker; one sentence shows the command to install."""

    def find() -> Path:
        raise MissingProgramError("rabbitmq-server", "type: apt-get")

    assert create_broker(Settings(data_folder=tmp_path), find=find) is None
    assert capsys.readouterr().out == (
        "No RabbitMQ broker is started: the program 'rabbitmq-server' was not found; type: apt-get.\n"
        "Sagas in Temporal need no broker; choreographed sagas do.\n"
    )


def test_rabbitmq_on_the_path_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folders of packages precede the PATH."""
    (tmp_path / "rabbitmq-server").touch(mode=0o755)
    (tmp_path / "packages").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_rabbitmq_program(package_folders=[tmp_path / "packages"]) == tmp_path / "rabbitmq-server"
    (tmp_path / "packages" / "rabbitmq-server").touch(mode=0o755)
    assert (
        find_rabbitmq_program(package_folders=[tmp_path / "packages"])
        == tmp_path / "packages" / "rabbitmq-server"
    )


def test_the_password_of_a_node_is_kept(tmp_path: Path) -> None:
    """A restart keeps the password; every folder has a password of its own."""
    ports = NodePorts(amqp=1, epmd=2, distribution=3)
    mine, other = NodeFiles(tmp_path / "mine"), NodeFiles(tmp_path / "other")

    password = mine.write(ports)

    assert mine.write(ports) == password
    assert other.write(ports) != password


def test_a_node_that_was_not_started_has_no_address(tmp_path: Path) -> None:
    """The error says that the node was not started."""
    node = EmbeddedRabbitMQ(tmp_path)

    with pytest.raises(ProcessError, match="the RabbitMQ node was not started"):
        _ = node.url
    with pytest.raises(ProcessError, match="the RabbitMQ node was not started"):
        node.kill()
