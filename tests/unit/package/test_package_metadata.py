"""The README and the URLs in the metadata of the package."""

import re
from pathlib import Path
from runpy import run_path

import pytest

ROOT = Path(__file__).parents[3]
METADATA = run_path(str(ROOT / "deploy" / "package_metadata.py"))
LINKS = re.compile(r"\]\((?!https?:|#)[^)]+\)")
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def metadata_of(root: Path) -> dict[str, object]:
    metadata: dict[str, object] = {"version": "1.2.0"}
    METADATA["PackageMetadata"](str(root), {}).update(metadata)
    return metadata


def test_links_are_absolute_in_the_package() -> None:
    """Links lead to the files of the version, images to their content, and code is unchanged."""
    text = METADATA["packaged_readme"](
        "[a](docs/a.md#b) ![c](d.png) [e](https://f) [g](#h)\n\n```\n[i](j)\n```\n",
        url="https://forge.example/team/sagas",
        tag="v1.2.0",
    )

    assert text == (
        "[a](https://forge.example/team/sagas/blob/v1.2.0/docs/a.md#b) "
        "![c](https://forge.example/team/sagas/raw/v1.2.0/d.png) [e](https://f) [g](#h)\n\n```\n[i](j)\n```\n"
    )


def test_the_readme_of_the_package_has_no_relative_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a URL of the project, the text of a link replaces the link, and no URL is invented."""
    monkeypatch.delenv("PROJECT_URL", raising=False)

    metadata = metadata_of(ROOT)

    assert metadata["urls"] == {}
    assert LINKS.findall(CODE.sub("", str(metadata["readme"]))) == []


def test_the_url_of_the_project_comes_from_the_environment_of_the_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PROJECT_URL names the page of the repository."""
    monkeypatch.setenv("PROJECT_URL", "https://forge.example/team/sagas/")

    metadata = metadata_of(ROOT)

    assert metadata["urls"] == {
        "Repository": "https://forge.example/team/sagas",
        "Documentation": "https://forge.example/team/sagas/blob/v1.2.0/README.md",
        "Changelog": "https://forge.example/team/sagas/blob/v1.2.0/CHANGELOG.md",
        "Issues": "https://forge.example/team/sagas/issues",
    }
    assert LINKS.findall(CODE.sub("", str(metadata["readme"]))) == []
