"""`sagas new` writes all files or none; tests/server/test_installed_package.py runs the written project."""

from pathlib import Path

import pytest

from workers import ConfigurationError
from workers._cli.new_command import FILES, create_project


def test_the_name_of_the_project_is_in_every_place(tmp_path: Path) -> None:
    """Hyphens become underscores in the name of the package, and no placeholder is left."""
    folder = create_project("web-shop", tmp_path)

    written = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    assert written.keys() == {name.replace("$package", "web_shop") for name in FILES}
    assert 'name = "web-shop"' in written["pyproject.toml"].read_text()
    assert "from web_shop.saga import" in written["tests/test_saga.py"].read_text()
    assert not [name for name, file in written.items() if "$" in file.read_text()]
    assert [each.name for each in tmp_path.iterdir()] == ["web-shop"]


@pytest.mark.parametrize(
    "name",
    ["", "Shop", "1shop", "shop-", "web__shop", "web.shop", "../shop", "/tmp/shop", "s hop", "шоп", "s" * 51],
)
def test_a_malformed_name_is_refused(tmp_path: Path, name: str) -> None:
    """The error shows a valid name, and nothing is written."""
    with pytest.raises(ConfigurationError, match="for example web-shop"):
        create_project(name, tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["class", "match", "tests"])
def test_a_reserved_name_is_refused(tmp_path: Path, name: str) -> None:
    """No package can have the name, or the folder of the tests has the name."""
    with pytest.raises(ConfigurationError, match="reserved"):
        create_project(name, tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["sagas", "workers", "activities", "temporalio", "json"])
def test_a_name_that_hides_a_module_is_refused(tmp_path: Path, name: str) -> None:
    """A package named `workers` would hide the package of the SDK."""
    with pytest.raises(ConfigurationError, match="would hide"):
        create_project(name, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused(tmp_path: Path) -> None:
    """Neither a folder, nor a file, nor a broken link is touched."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")

    for name in ("folder", "file", "link"):
        with pytest.raises(ConfigurationError, match=f"{name}' exists already"):
            create_project(name, tmp_path)

    assert list((tmp_path / "folder").iterdir()) == []
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The error is one sentence with the reason of the operating system."""
    with pytest.raises(ConfigurationError, match="shop' cannot be written: No such file or directory"):
        create_project("shop", tmp_path / "missing")
